"""MCP servers that do what they should not: one tool, or one call, has the damage, and says what it is."""

import asyncio
import logging
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from agent_runtime.components.snapshot import Snapshot
from agent_runtime.tools.connection_state import Timing
from groundwork.outgoing.mcp_server import McpServer
from tests import strange_mcp
from tests.agent_runtime.tools.connecting import call_tool, connected_to
from tests.servers import run_server
from tests.strange_mcp import BODIES, READABLE, STREAMS, UNREADABLE, Strange

PATIENT = Timing(settle_seconds=30, ping_seconds=60)
"""What is told at once is told long before any of these."""


@asynccontextmanager
async def connected(
    strange: Strange, query: str = "", timing: Timing = PATIENT, **server: Any
) -> AsyncIterator[Snapshot]:
    async with run_server(strange.app) as url:
        described = McpServer("odd", url=f"{url}/mcp{query}", **server)
        async with connected_to(described, timing=timing) as connections:
            yield connections


def over_stdio() -> McpServer:
    return McpServer("odd", command=sys.executable, args=(strange_mcp.__file__,))


async def call(connections: Snapshot, name: str, /, **arguments: Any) -> Any:
    return await call_tool(next(tool for tool in connections.tools if tool.name == f"odd_{name}"), **arguments)


NAMES = [
    "config",
    "runtime",
    "run_manager",
    "self",
    "callbacks",
    "run_id",
    "args",
    "kwargs",
    "__arg1",
    "type",
    "name",
]
NAMES += ["id", "state", "store", "tool_call_id", "input", "class", "a-b", "a.b", "größe", "call_id", "arguments"]


async def test_every_argument_arrives_under_its_name():
    strange = Strange()
    async with connected(strange) as connections:
        await call(connections, "well", **{name: name for name in NAMES})
    assert strange.calls == [("well", {name: name for name in NAMES})]


@pytest.mark.parametrize("query", ["", "?stream=1"])
async def test_an_answer_that_cannot_be_read_is_told_at_once_and_spoils_no_other_call(query: str):
    began_at = time.monotonic()
    async with connected(Strange(), query) as connections:
        other = asyncio.create_task(call(connections, "slow", steps=3, seconds=0.3))
        for name in [*UNREADABLE, *BODIES, *STREAMS]:
            told = await call(connections, name)
            assert told.status == "error", name
            assert "had its effect is not known" in told.text, name
        assert (await other).text == "at last"
        assert (await call(connections, "well", a=1)).text == '{"a": 1}'
    assert time.monotonic() - began_at < PATIENT.call_timeout_seconds


async def test_an_answer_that_can_be_read_with_good_will_is():
    texts = {}
    async with connected(Strange()) as connections:
        for name in READABLE:
            texts[name] = (await call(connections, name)).text
    assert texts == {
        "half_an_emoji": "a \ufffd b",
        "id_as_text": "an id as text",
        "null_error": "no error",
        "not_utf8": "caf\ufffd",
        "nan": '{"value": null}',
    }


async def test_a_program_may_print_what_it_likes(caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    async with connected_to(over_stdio(), timing=PATIENT) as connections:
        for name in UNREADABLE:
            assert "cannot be read" in (await call(connections, name)).text, name
        assert (await call(connections, "half_an_emoji")).text == "a \ufffd b"
        assert (await call(connections, "flood", a=1)).text == '{"a": 1}'
    lines = [record.getMessage() for record in caplog.records if "server=odd" in record.getMessage()]
    assert "MCP server stderr server=odd: a word on stderr" in lines
    assert len(lines) < 8


GOOD = {"type": "object", "properties": {"a": {"type": ["string", "null"]}}, "required": ["a"]}
TREE = {
    "properties": {"node": {"$ref": "#/$defs/node"}},
    "$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}},
}
BOMB = {
    "properties": {"a": {"$ref": "#/$defs/0"}},
    "$defs": {
        **{str(n): {"anyOf": [{"$ref": f"#/$defs/{n + 1}"}, {"$ref": f"#/$defs/{n + 1}"}]} for n in range(16)},
        "16": {"type": "string"},
    },
}
LEFT_OUT: dict[str, tuple[Any, str]] = {
    "dangling": ({"properties": {"a": {"$ref": "#/$defs/none"}}}, "#/$defs/none, which is not there"),
    "external": ({"properties": {"a": {"$ref": "http://127.0.0.1:9/x"}}}, "nothing outside it is fetched"),
    "bomb": (BOMB, "more than 20000 parts"),
    "large": ({"properties": {"a": {"description": "x" * 200_000}}}, "at most 131072"),
    "scalar": ({"type": "string"}, "arguments are an object"),
    "word": ("an object", "no JSON schema"),
    "invalid": ({"properties": {"a": {"type": "text"}}}, "properties.a.type"),
}
OFFERED: dict[str, Any] = {
    "good": GOOD,
    "tree": TREE,
    "nothing": {},
    "anything": True,
    "either": {"anyOf": [GOOD, {"type": "null"}]},
    "escaped": {"properties": {"a": {"$ref": "#/$defs/x~1y"}}, "$defs": {"x/y": {"type": "string"}}},
    "named": {"properties": {"$ref": {"type": "string"}, "definitions": {}, "$id": {}}},
}


async def test_a_tool_that_cannot_be_offered_is_left_out_alone_and_named_with_the_reason():
    tools: list[Any] = [{"name": name, "inputSchema": schema} for name, (schema, _) in LEFT_OUT.items()]
    tools += [{"name": name, "inputSchema": schema} for name, schema in OFFERED.items()]
    tools += [{"name": "bare"}, {"name": "bare"}, {"description": "nameless"}, 7]
    tools += [{"name": "task", "execution": {"taskSupport": "required"}}]
    async with connected(Strange(tools=tools)) as connections:
        state = connections.status()["mcp"]["odd"]
        offered = {tool.name.removeprefix("odd_"): tool.args_schema for tool in connections.tools}
        assert (await call(connections, "bare", a=1)).text == '{"a": 1}'
    for name, (_, reason) in LEFT_OUT.items():
        assert reason in state["left_out"].pop(name), name
    assert [*state["left_out"]] == ["bare", f"[{len(tools) - 3}]", f"[{len(tools) - 2}]", "task"]
    assert "taskSupport" in state["left_out"]["task"]
    assert {*OFFERED, "bare", "well"} <= offered.keys()
    assert state["connected"]
    assert "$ref" not in str([offered[name] for name in OFFERED if name != "named"])
    assert offered["bare"] == {"type": "object", "properties": {}, "required": []}


PNG = "iVBORw0KGgo="
RESULTS: dict[str, tuple[dict[str, Any], Any]] = {
    "structured": ({"content": [], "structuredContent": {"a": [1, "ä"]}}, '{"a": [1, "ä"]}'),
    "without_content": ({"structuredContent": {"a": 1}}, '{"a": 1}'),
    "said_twice": ({"content": [{"type": "text", "text": '{"a": 1}'}], "structuredContent": {"a": 1}}, '{"a": 1}'),
    "wrapped": ({"content": [{"type": "text", "text": "5"}], "structuredContent": {"result": 5}}, "5"),
    "nothing": ({"content": []}, "(the tool answered with nothing)"),
    "failed": (
        {
            "content": [{"type": "text", "text": "busy"}],
            "structuredContent": {"code": "BUSY", "retry_after": 7},
            "isError": True,
        },
        "busy" + '{"code": "BUSY", "retry_after": 7}',
    ),
    "blob": (
        {"content": [{"type": "resource", "resource": {"uri": "file:///x", "blob": "AAEC"}}]},
        "[resource file:///x, application/octet-stream: cannot be shown here]",
    ),
    "packed_text": (
        {
            "content": [
                {"type": "resource", "resource": {"uri": "a://b", "blob": "aGk=", "mimeType": "text/plain"}}
            ]
        },
        "hi",
    ),
    "embedded": ({"content": [{"type": "resource", "resource": {"uri": "a://b", "text": "words"}}]}, "words"),
    "link": (
        {"content": [{"type": "resource_link", "uri": "file:///report.pdf", "name": "report"}]},
        "[resource link: report, file:///report.pdf]",
    ),
    "sound": (
        {"content": [{"type": "audio", "data": "AAEC"}]},
        "[audio, application/octet-stream: cannot be shown here]",
    ),
    "unknown": ({"content": [{"type": "widget", "x": 1}]}, '{"type": "widget", "x": 1}'),
    "no_list": ({"content": "just a text"}, "just a text"),
}


async def test_the_model_sees_all_that_a_tool_answered():
    results = {name: result for name, (result, _) in RESULTS.items()}
    results["image"] = {"content": [{"type": "image", "data": PNG}]}
    strange = Strange(tools=[{"name": name} for name in results], results=results)
    async with connected(strange) as connections:
        for name, (_, shown) in RESULTS.items():
            told = await call(connections, name)
            assert (told.text, told.status) == (shown, "error" if name == "failed" else "success"), name
        (image,) = (await call(connections, "image")).content
    assert (image["base64"], image["mime_type"]) == (PNG, "image/png")


async def test_a_call_has_the_time_that_its_server_is_given_and_more_as_long_as_it_tells_of_progress():
    async with connected(Strange(), timeout_seconds=1.5) as connections:
        late = await call(connections, "slow", steps=0)
        assert late.text == "at last"
        assert (await call(connections, "slow", steps=5, seconds=0.6)).text == "at last"
        silent = await call(connections, "slow", steps=1, seconds=4)
    assert "no answer within 1.5 seconds" in silent.text


@pytest.mark.parametrize("status", [307, 308])
async def test_a_redirect_within_the_origin_is_followed_with_the_headers(status: int):
    strange, seen = Strange(), list[str | None]()

    async def slash(request: Request) -> Response:
        return RedirectResponse("/mcp/", status)

    async def target(request: Request) -> Response:
        seen.append(request.headers.get("x-key"))
        return await strange.http(request)

    methods = ["POST", "GET", "DELETE"]
    app = Starlette(routes=[Route("/mcp", slash, methods=methods), Route("/mcp/", target, methods=methods)])
    async with run_server(app) as url:
        server = McpServer("odd", url=f"{url}/mcp", headers={"X-Key": "secret"})
        async with connected_to(server, timing=PATIENT) as connections:
            assert (await call(connections, "well", a=1)).text == '{"a": 1}'
    assert {*seen} == {"secret"}


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_to_elsewhere_is_not_followed_and_named(status: int):
    strange = Strange()

    async def away(request: Request) -> Response:
        return RedirectResponse(f"{elsewhere}/mcp", status)

    async with (
        run_server(strange.app) as elsewhere,
        run_server(Starlette(routes=[Route("/mcp", away, methods=["POST", "GET"])])) as url,
        connected_to(McpServer("odd", url=f"{url}/mcp"), timing=PATIENT) as connections,
    ):
        state = connections.status()["mcp"]["odd"]
    assert f"redirects to {elsewhere}/mcp, which is not followed; use that URL" in state["last_error"]
    assert strange.methods == []


@pytest.mark.parametrize("capabilities", [{}, {"prompts": {}}])
async def test_a_server_without_tools_is_connected_and_has_none(capabilities: dict[str, Any]):
    async with connected(Strange(capabilities=capabilities)) as connections:
        state = connections.status()["mcp"]["odd"]
    assert (state["connected"], state["tools"]) == (True, 0)
