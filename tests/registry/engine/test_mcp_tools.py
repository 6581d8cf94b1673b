"""Tools of MCP servers that are real processes."""

import asyncio
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from groundwork.postgres.pool import Pool
from registry.executions.events import Completed, Failed
from registry.outbound.models import Models
from tests.mcp_servers import McpProcess, free_port, start_mcp_server, stdio_command
from tests.registry.engine.executions import start, story, until
from tests.registry.engine.visits import run, settings, visit_of
from tests.registry.engine.workflows import document
from tests.registry.registries import Served, running_registry
from tests.servers import run_server
from tests.strange_mcp import Strange


@pytest.fixture
async def served(registry_dsn, server_of_this_module: McpProcess):
    rules = (f"WIKI_*@{origin(server_of_this_module.url)}",)
    async with running_registry(registry_dsn, worker=True, jamjet_secret_env=rules) as served:
        yield served


def origin(url: str) -> str:
    return url.removesuffix(httpx.URL(url).path)


@pytest.fixture(scope="module")
def server_of_this_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[McpProcess]:
    """One for all tests here: starting a server takes longer than most of them."""
    directory = tmp_path_factory.mktemp("mcp")
    environment = {"EFFECTS": str(directory / "effects"), "DIE": str(directory / "die")}
    with start_mcp_server(environment=environment) as server:
        yield server


@pytest.fixture
def server(server_of_this_module: McpProcess) -> McpProcess:
    """A server that runs and has done nothing yet; a test may let it die."""
    effects_of(server_of_this_module).unlink(missing_ok=True)
    if not server_of_this_module.is_running:
        server_of_this_module.kill()
        server_of_this_module.start()
    return server_of_this_module


def effects_of(server: McpProcess) -> Path:
    return Path(server.environment["EFFECTS"])


def calling(
    spec: dict[str, Any], tool: str, arguments: dict[str, Any], *, retry: str = "fast", **kind: Any
) -> dict[str, Any]:
    node = {"type": "mcp_tool", "server": "wiki", "tool": tool, "input_mapping": arguments, **kind}
    ir = document({"call": node}, [], mcp_servers={"wiki": spec})
    ir["nodes"]["call"]["retry_policy"] = retry
    return ir


def over_http(server: McpProcess, **more: Any) -> dict[str, Any]:
    return {"transport": "http_sse", "url": server.url, **more}


async def test_what_a_tool_gives_goes_to_the_key_that_the_node_names(served: Served, server: McpProcess):
    arguments = {"a": "state.x", "b": "{{ state.y }}"}
    execution = await start(
        served.registry, calling(over_http(server), "add", arguments, output_schema="sum"), x=2, y=3
    )
    row = await until(served.registry, execution)
    assert (row.status, row.state["sum"]) == ("completed", {"result": 5})
    assert "tool_call_completed call" in await story(served.registry, execution)


async def test_a_tool_of_the_workflow_may_be_one_of_a_server(served: Served, server: McpProcess):
    node = {"type": "tool", "tool_ref": "sum", "input_mapping": {"a": 1, "b": 2}}
    tools = {"sum": {"kind": "mcp", "reference": "wiki/add"}}
    ir = document({"call": node}, [], tools=tools, mcp_servers={"wiki": over_http(server)})
    row = await until(served.registry, await start(served.registry, ir))
    assert row.state["last_tool_output"] == {"result": 3}


async def test_a_tools_own_failure_fails_the_node(served: Served, server: McpProcess):
    row = await until(served.registry, await start(served.registry, calling(over_http(server), "fail", {})))
    assert row.status == "failed"
    assert "this tool always fails" in (row.error or "")


async def test_a_tool_that_is_not_there_is_named(served: Served, server: McpProcess):
    row = await until(served.registry, await start(served.registry, calling(over_http(server), "nothing", {})))
    assert row.error == "node call: wiki has no tool nothing"


async def test_a_server_that_is_not_there_is_tried_again(served: Served):
    spec = {"transport": "http_sse", "url": f"http://127.0.0.1:{free_port()}/mcp"}
    execution = await start(served.registry, calling(spec, "add", {}))
    assert "wiki cannot be used" in ((await until(served.registry, execution)).error or "")
    assert (await story(served.registry, execution)).count("retry_scheduled call") == 1


async def test_a_call_that_may_have_had_its_effect_is_not_made_again(served: Served, server: McpProcess):
    Path(server.environment["DIE"]).touch()
    execution = await start(served.registry, calling(over_http(server), "record", {"what": "once"}))
    row = await until(served.registry, execution)
    assert "whether record had its effect is not known, so it was not called again" in (row.error or "")
    assert effects_of(server).read_text() == "once\n"
    assert "retry_scheduled call" not in await story(served.registry, execution)


async def test_a_call_that_may_be_repeated_is(served: Served, server: McpProcess):
    Path(server.environment["DIE"]).touch()
    ir = calling(over_http(server), "record_idempotent", {"what": "again"}, retry="patient")
    ir["retry_policies"] = {"patient": {"max_attempts": 10, "initial_delay": 0.3, "backoff": "exponential"}}
    execution = await start(served.registry, ir)
    while server.is_running:
        await asyncio.sleep(0.05)
    server.kill()
    await asyncio.to_thread(server.start)
    assert (await until(served.registry, execution)).status == "completed"
    assert effects_of(server).read_text() == "again\nagain\n"


async def test_a_call_that_takes_too_long_has_an_unknown_outcome(served: Served, server: McpProcess):
    ir = calling(over_http(server), "sleep", {"seconds": 10})
    ir["nodes"]["call"]["node_timeout_secs"] = 3  # time enough to connect, too
    execution = await start(served.registry, ir)
    assert "so it was not called again" in ((await until(served.registry, execution)).error or "")


async def test_programs_are_started_only_where_the_operator_allows_it(registry_dsn):
    command, arguments = stdio_command()
    spec = {"transport": "stdio", "command": command, "args": arguments}
    for allowed, status in ((False, "failed"), (True, "completed")):
        async with running_registry(registry_dsn, worker=True, jamjet_allow_stdio_mcp=allowed) as served:
            row = await until(
                served.registry, await start(served.registry, calling(spec, "add", {"a": 1, "b": 1}))
            )
            assert row.status == status
            assert allowed or "JAMJET_ALLOW_STDIO_MCP" in (row.error or "")


async def test_a_secret_goes_to_the_server_that_it_is_for(
    served: Served, server: McpProcess, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WIKI_TOKEN", "very-secret")
    auth = {"type": "bearer", "token_env": "WIKI_TOKEN"}
    ir = calling(over_http(server, auth=auth), "reveal", {"name": "authorization"})
    row = await until(served.registry, await start(served.registry, ir))
    assert row.state["last_tool_output"] == {"result": "Bearer very-secret"}


@pytest.mark.parametrize("name", ["WIKI_TOKEN", "HOME"])
async def test_a_workflow_reads_no_other_variables_than_it_may(served: Served, server: McpProcess, name: str):
    auth = {"type": "api_key", "header": "X-Key", "key_env": name}
    ir = calling(over_http(server, auth=auth), "reveal", {"name": "x-key"})
    row = await until(served.registry, await start(served.registry, ir))
    reasons = {
        "WIKI_TOKEN": "the environment variable WIKI_TOKEN is not set where the worker runs",
        "HOME": "workflows may not read HOME: it is not among JAMJET_SECRET_ENV",
    }
    assert row.error == f"node call: {reasons[name]}"


async def test_a_policy_knows_the_tool_by_its_name(served: Served, server: McpProcess):
    ir = calling(over_http(server), "record", {"what": "never"}) | {"policy": {"blocked_tools": ["rec*"]}}
    row = await until(served.registry, await start(served.registry, ir))
    assert "policy violation" in (row.error or "")
    assert not effects_of(server).exists()


@pytest.mark.parametrize(("tool", "times"), [("record", 0), ("record_idempotent", 1)])
async def test_what_a_lost_worker_may_have_done_is_done_again_only_where_that_does_no_harm(
    registry_pool: Pool, server: McpProcess, tool: str, times: int
):
    ir = calling(over_http(server), tool, {"what": "again"})
    visit = visit_of(ir)
    outcome = await run(replace(visit, attempt=1, interrupted=True), registry_pool, Models(settings()))
    if isinstance(outcome, Failed):
        assert "a worker was lost while it called record" in outcome.error
    assert isinstance(outcome, Completed) == bool(times)
    assert effects_of(server).exists() == bool(times)


async def test_a_server_in_a_private_network_is_not_called_where_that_is_denied(registry_dsn, server: McpProcess):
    async with running_registry(registry_dsn, worker=True, deny_private_networks=True) as served:
        row = await until(served.registry, await start(served.registry, calling(over_http(server), "add", {})))
        assert "private or reserved network" in (row.error or "")


@pytest.mark.parametrize(
    ("rule", "reason"),
    [
        ("WIKI_*@https://elsewhere.test", "WIKI_TOKEN is not for"),
        ("acme/WIKI_*@{origin}", "workflows may not read"),
    ],
)
async def test_a_secret_goes_to_no_other_server_and_for_no_other_tenant(
    registry_dsn, server: McpProcess, monkeypatch: pytest.MonkeyPatch, rule: str, reason: str
):
    monkeypatch.setenv("WIKI_TOKEN", "very-secret")
    rules = (rule.format(origin=origin(server.url)),)
    ir = calling(over_http(server, auth={"type": "bearer", "token_env": "WIKI_TOKEN"}), "reveal", {"name": "host"})
    async with running_registry(registry_dsn, worker=True, jamjet_secret_env=rules) as served:
        row = await until(served.registry, await start(served.registry, ir))
    assert reason in (row.error or "")


async def test_a_token_is_asked_for_once_and_sent_with_each_call(
    registry_dsn, server: McpProcess, monkeypatch: pytest.MonkeyPatch
):
    asked: list[str] = []

    async def token(request: Request) -> JSONResponse:
        asked.append(request.headers["authorization"])
        return JSONResponse({"access_token": "fresh", "expires_in": 3600})

    monkeypatch.setenv("WIKI_ID", "me")
    monkeypatch.setenv("WIKI_SECRET", "very-secret")
    async with (
        run_server(Starlette(routes=[Route("/token", token, methods=["POST"])])) as url,
        running_registry(
            registry_dsn, worker=True, jamjet_secret_env=(f"WIKI_*@{origin(server.url)}", f"WIKI_*@{url}")
        ) as served,
    ):
        names = {"client_id_env": "WIKI_ID", "client_secret_env": "WIKI_SECRET"}
        auth = {"type": "oauth2", "token_url": f"{url}/token", **names}
        ir = calling(over_http(server, auth=auth), "reveal", {"name": "authorization"})
        for _ in range(2):
            row = await until(served.registry, await start(served.registry, ir))
            assert row.state["last_tool_output"] == {"result": "Bearer fresh"}
    assert asked == ["Basic " + b64encode(b"me:very-secret").decode()]


async def test_what_a_strange_server_answers_is_used_or_refused_at_once_with_the_reason(served: Served):
    failed = {"content": [], "isError": True, "structuredContent": {"code": "BUSY", "retry_after": 7}}
    named = {"config": 1, "self": 2, "run_manager": 3}
    strange = Strange(
        tools=[{"name": "bare"}, {"name": "busy", "inputSchema": {"$ref": "#/none"}}, {"description": "nameless"}],
        results={"busy": failed},
    )
    async with run_server(strange.app) as url:
        spec = {"transport": "http_sse", "url": f"{url}/mcp"}
        names = ["bare", "half_an_emoji", "busy", "null_result", "html", "stream_ends"]
        started = [
            await start(
                served.registry, calling(spec, name, {key: f"{{{{ state.{key} }}}}" for key in named}), **named
            )
            for name in names
        ]
        rows = dict(zip(names, [await until(served.registry, one) for one in started], strict=True))
    assert rows["bare"].state["last_tool_output"] == named
    assert rows["half_an_emoji"].state["last_tool_output"] == "a \ufffd b"
    assert '{"code": "BUSY", "retry_after": 7}' in (rows["busy"].error or "")
    assert "its result is null instead of an object" in (rows["null_result"].error or "")
    assert "it is not JSON (200, text/html)" in (rows["html"].error or "")
    assert "the stream ended before the answer" in (rows["stream_ends"].error or "")
    assert all("was not called again" in (rows[name].error or "") for name in names[3:])
