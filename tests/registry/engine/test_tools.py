"""Tools that a workflow has: over HTTP, as functions of a worker's, allowed or not."""

import asyncio
import gzip
from typing import Any

import pytest
from starlette.responses import JSONResponse, Response

from registry.access import COMMAND_LINE
from tests.registry.engine.executions import events_of, seen, start, story, until
from tests.registry.engine.tool_server import ToolServer, running_tools
from tests.registry.engine.workflows import STEP, document
from tests.registry.registries import Served, running_registry


@pytest.fixture
async def served(registry_dsn):
    async with running_registry(registry_dsn, worker=True) as served:
        yield served


@pytest.fixture
async def server():
    async with running_tools() as server:
        yield server


def using(server: ToolServer, path: str, *, retry: str = "no_retry", **kind: Any) -> dict[str, Any]:
    """A workflow with one node, which calls that path."""
    ir = document({"call": {"type": "tool", "tool_ref": "remote", **kind}}, [])
    ir["tools"] = {"remote": {"kind": "http", "reference": server.url + path}}
    ir["nodes"]["call"]["retry_policy"] = retry
    return ir


async def test_an_object_that_a_tool_answers_becomes_part_of_the_state(served: Served, server: ToolServer):
    ir = using(server, "/price", input_mapping={"sku": "{{ state.sku }}", "count": 2})
    execution = await start(served.registry, ir, sku="A1")
    row = await until(served.registry, execution)
    assert row.state == {"sku": "A1", "price": 7, "currency": "EUR"}
    assert server.heard == [("/price", f"{execution.removeprefix('exec_')}:call:1", {"sku": "A1", "count": 2})]
    assert (await story(served.registry, execution))[1:-1] == [
        "node_scheduled call",
        "node_started call",
        "tool_call_completed call",
        "node_completed call",
    ]


@pytest.mark.parametrize(
    ("path", "schema", "state"),
    [
        ("/price", "quote", {"quote": {"price": 7, "currency": "EUR"}}),
        ("/number", "", {"last_tool_output": 42}),
        ("/text", "", {"last_tool_output": "just text"}),
        ("/empty", "schemas.Nothing", {"last_tool_output": None}),
        ("/odd", "", {"note": "a\ufffdb"}),
    ],
)
async def test_where_an_answer_goes(
    served: Served, server: ToolServer, path: str, schema: str, state: dict[str, Any]
):
    row = await until(served.registry, await start(served.registry, using(server, path, output_schema=schema)))
    assert (row.status, row.state) == ("completed", state)


@pytest.mark.parametrize(
    ("body", "media_type", "state"),
    [
        (b'{"a": NaN, "b": [Infinity, -Infinity, 1e999]}', "application/json", {"a": None, "b": [None] * 3}),
        (b'\xef\xbb\xbf{"a": 1}', "application/json", {"a": 1}),
        ('{"a": "\u00e4"}'.encode("utf-16"), "application/json", {"a": "\u00e4"}),
        (b'{"a": 1, "b": {"c": 1, "c": 2}, "a": 3}', "application/json", {"a": 3, "b": {"c": 2}}),
        (b'{"a": "\xe4"}', "application/json; charset=ISO-8859-1", {"a": "\u00e4"}),
        (b'{"a": "\xe4"}', "application/json; charset=nonsense", {"a": "\ufffd"}),
        (b'{"a": "\\ud83d", "b": "x\ny"}', "application/problem+json", {"a": "\ufffd", "b": "x\ny"}),
        (b'{"a": 1000000000000000000001}', "application/json", {"a": 10**21 + 1}),
        (b'{"a": 1}', "text/plain", {"a": 1}),
        (b"\xe4", "text/html; charset=latin1", {"last_tool_output": "\u00e4"}),
        (b"[" * 100 + b"]" * 100, "application/json", None),
        (gzip.compress(b'{"a": 1}', mtime=0), "gzipped", {"a": 1}),
    ],
)
async def test_json_is_read_as_readers_in_the_field_do(
    served: Served, server: ToolServer, body: bytes, media_type: str, state: dict[str, Any] | None
):
    packed = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    headers = packed if media_type == "gzipped" else {"Content-Type": media_type}
    server.failures = [Response(body, headers=headers)]
    row = await until(served.registry, await start(served.registry, using(server, "/flaky")))
    assert row.status == "completed", row.error
    assert state is None or row.state == state


async def test_a_policy_may_name_the_errors_that_are_tried_again(served: Served, server: ToolServer):
    server.failures = [JSONResponse({"error": {"code": "EAGAIN"}}, 409), JSONResponse({"code": "EPERM"}, 409)]
    ir = using(server, "/flaky", retry="named")
    ir["retry_policies"] = {
        "named": {
            "max_attempts": 3,
            "backoff": {"fixed": None},
            "initial_delay": 0,
            "max_delay": 0,
            "jitter": False,
            "retryable_on": ["connection_reset", {"custom": "EAGAIN"}, {"timeout": None}],
        }
    }
    row = await until(served.registry, await start(served.registry, ir))
    assert row.error is not None
    assert (row.status, "EPERM" in row.error, len(server.heard)) == ("failed", True, 2)


async def test_a_server_in_trouble_is_asked_again_with_the_same_key(served: Served, server: ToolServer):
    server.failures = [JSONResponse({}, 503), JSONResponse({}, 429, {"Retry-After": "0"})]
    ir = using(server, "/flaky", retry="quick")
    ir["retry_policies"] = {"quick": {"max_attempts": 3, "initial_delay": 0.05}}
    execution = await start(served.registry, ir)
    assert (await until(served.registry, execution)).status == "completed"
    assert len({key for _, key, _ in server.heard}) == 1
    assert (await story(served.registry, execution)).count("retry_scheduled call") == 2


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/refuse", '127.0.0.1 answered 404 {"error":"no such customer"}'),
        ("/elsewhere", "127.0.0.1 answered 307"),
        ("/broken", "its answer cannot be read"),
    ],
)
async def test_what_will_not_change_is_not_tried_again(served: Served, server: ToolServer, path: str, reason: str):
    row = await until(served.registry, await start(served.registry, using(server, path, retry="fast")))
    assert row.status == "failed"
    assert reason in (row.error or "")
    assert len(server.heard) == 1


async def test_a_tool_that_takes_too_long_is_tried_again(served: Served, server: ToolServer):
    ir = using(server, "/slow", retry="fast")
    ir["nodes"]["call"]["node_timeout_secs"] = 0.3
    row = await until(served.registry, await start(served.registry, ir))
    assert row.error == "node call: 127.0.0.1 did not answer within 0.285 seconds"
    assert len(server.heard) == 2


async def test_nothing_is_sent_into_private_networks_where_that_is_denied(registry_dsn, server: ToolServer):
    async with running_registry(registry_dsn, worker=True, deny_private_networks=True) as served:
        row = await until(served.registry, await start(served.registry, using(server, "/price", retry="fast")))
        assert "private or reserved network" in (row.error or "")
    allowed: dict[str, Any] = {"deny_private_networks": True, "jamjet_discover_allowed_hosts": ("127.0.0.1",)}
    async with running_registry(registry_dsn, worker=True, **allowed) as served:
        row = await until(served.registry, await start(served.registry, using(server, "/price", retry="fast")))
        assert row.status == "completed"


@pytest.mark.parametrize("tools", [{}, {"page": {"description": "Pages somebody"}}])
async def test_a_tool_that_cannot_be_run_is_named(served: Served, tools: dict[str, Any]):
    ir = document({"call": {"type": "tool", "tool_ref": "page"}}, [], tools=tools)
    row = await until(served.registry, await start(served.registry, ir))
    assert row.status == "failed"
    assert "'page'" in (row.error or "")


async def claim(served: Served) -> dict[str, Any]:
    body = {"worker_id": "w", "queue_types": ["python_tool"]}
    while True:
        answer = (await served.http.post("/work-items/claim", json=body)).json()
        if answer["claimed"]:
            item: dict[str, Any] = answer["work_item"]
            return item
        await asyncio.sleep(0.02)


def with_function(**kind: Any) -> dict[str, Any]:
    return document(
        {"convert": {"type": "tool", "tool_ref": "fx.convert", **kind}},
        [],
        tools={"fx.convert": {"kind": "python", "reference": "fx_tools:convert"}},
    )


async def test_a_function_is_called_by_a_worker(served: Served):
    execution = await start(served.registry, with_function(input_mapping={"amount": "state.total"}), total=3)
    item = await claim(served)
    assert (item["payload"]["module"], item["payload"]["function"]) == ("fx_tools", "convert")
    assert (item["payload"]["input"], item["attempt"]) == ({"amount": 3}, 0)
    await served.http.post(
        f"/work-items/{item['id']}/complete", json={"output": {"eur": 2}, "state_patch": {"eur": 2}}
    )
    row = await until(served.registry, execution)
    assert row.state == {"total": 3, "eur": 2}
    told = await story(served.registry, execution)
    assert told.count("node_started convert") == told.count("node_completed convert") == 1
    assert "tool_call_completed convert" in told


async def test_what_a_policy_blocks_is_not_done(served: Served, server: ToolServer):
    ir = using(server, "/price") | {"policy": {"blocked_tools": ["rem*"]}}
    execution = await start(served.registry, ir)
    row = await until(served.registry, execution)
    assert row.error == "node call: policy violation: remote is blocked by 'rem*' in the workflow's policy"
    assert "policy_violation call" in await story(served.registry, execution)
    assert server.heard == []


def held(server: ToolServer, path: str = "/price", **more: Any) -> dict[str, Any]:
    ir = using(server, path, input_mapping={"amount": "state.amount"}, **more)
    return ir | {"policy": {"require_approval_for": ["remote"]}}


async def test_what_needs_an_approval_waits_for_it_and_is_done_once(served: Served, server: ToolServer):
    execution = await start(served.registry, held(server), amount=900)
    await until(served.registry, execution, "paused")
    (pending,) = (await served.registry.executions.list_approvals(COMMAND_LINE, execution)).pending
    assert (pending.detail["tool_name"], pending.detail["context"]["input"]) == ("remote", {"amount": 900})
    assert server.heard == []
    await served.registry.executions.approve(
        COMMAND_LINE, execution, decision="approved", state_patch={"amount": 90}
    )
    row = await until(served.registry, execution)
    assert server.calls_of("/price") == [{"amount": 90}]
    assert row.state == {"amount": 90, "price": 7, "currency": "EUR"}
    assert (await story(served.registry, execution))[1:-1] == [
        "node_scheduled call",
        "tool_approval_required call",
        "approval_received call",
        "node_started call",
        "tool_call_completed call",
        "node_completed call",
    ]


async def test_an_approval_holds_for_the_retries_too(served: Served, server: ToolServer):
    server.failures = [JSONResponse({}, 500)]
    execution = await start(served.registry, held(server, "/flaky", retry="fast"), amount=900)
    await until(served.registry, execution, "paused")
    await served.registry.executions.approve(
        COMMAND_LINE, execution, decision="approved", state_patch={"amount": 90}
    )
    assert (await until(served.registry, execution)).status == "completed"
    assert server.calls_of("/flaky") == [{"amount": 90}] * 2
    assert (await story(served.registry, execution)).count("tool_approval_required call") == 1


async def test_an_approval_counts_for_one_round_of_a_loop(served: Served, server: ToolServer):
    again = {"type": "condition", "branches": [{"condition": "state.more", "target": "call"}]}
    ir = held(server)
    ir["nodes"]["again"] = {"id": "again", "kind": again}
    ir["edges"] = [{"from": "call", "to": "again"}]
    execution = await start(served.registry, ir, amount=1, more=True)
    await until(served.registry, execution, "paused")
    await served.registry.executions.approve(COMMAND_LINE, execution, decision="approved")
    await seen(served.registry, execution, lambda row: row.status == "paused" and row.steps_executed == 2)
    approvals = await served.registry.executions.list_approvals(COMMAND_LINE, execution)
    assert (len(approvals.pending), len(approvals.decided), len(server.heard)) == (1, 1, 1)


async def test_a_tool_that_was_rejected_is_not_called(served: Served, server: ToolServer):
    execution = await start(served.registry, held(server), amount=900)
    await until(served.registry, execution, "paused")
    await served.registry.executions.approve(
        COMMAND_LINE, execution, decision="rejected", user_id="ada", comment="too much"
    )
    row = await until(served.registry, execution)
    assert row.error == "node call: approval rejected by ada: too much"
    assert server.heard == []


async def test_nobody_approving_in_time_fails_the_node(served: Served, server: ToolServer):
    ir = held(server) | {"timeouts": {"approval_timeout": 0.2}}
    row = await until(served.registry, await start(served.registry, ir))
    assert row.error == "node call: timeout_exceeded: nobody decided in time"
    assert server.heard == []


def finalizing(server: ToolServer, run_on: str, *, broken: bool) -> dict[str, Any]:
    """`work` succeeds or fails; `tidy` comes after it, or beside it."""
    work = {"type": "tool", "tool_ref": "nobody"} if broken else STEP
    ir = document(
        {"work": work, "tidy": {"type": "finalizer", "tool_ref": "mail", "run_on": run_on}}, [("work", "tidy")]
    )
    ir["tools"] = {"mail": {"kind": "http", "reference": f"{server.url}/mail"}}
    return ir


@pytest.mark.parametrize(
    ("run_on", "broken", "times"),
    [
        ("always", False, 1),
        ("always", True, 1),
        ("success", False, 1),
        ("success", True, 0),
        ("failure", False, 0),
        ("failure", True, 1),
    ],
)
async def test_a_finalizer_is_run_when_it_is_meant_to_be(
    served: Served, server: ToolServer, run_on: str, broken: bool, times: int
):
    execution = await start(served.registry, finalizing(server, run_on, broken=broken), x=1)
    row = await until(served.registry, execution)
    assert row.status == ("failed" if broken else "completed")
    assert len(server.heard) == times
    assert all(body == {"x": 1} for _, _, body in server.heard)


async def test_nobody_is_asked_about_a_finalizer_that_has_nothing_to_do(served: Served, server: ToolServer):
    ir = finalizing(server, "failure", broken=False) | {"policy": {"require_approval_for": ["mail"]}}
    assert (await until(served.registry, await start(served.registry, ir))).status == "completed"


async def test_a_finalizer_that_was_run_before_a_failure_is_not_run_again(served: Served, server: ToolServer):
    ir = finalizing(server, "always", broken=False)
    ir["nodes"]["late"] = {"id": "late", "kind": {"type": "tool", "tool_ref": "nobody"}}
    ir["edges"].append({"from": "tidy", "to": "late"})
    execution = await start(served.registry, ir)
    assert (await until(served.registry, execution)).status == "failed"
    assert len(server.heard) == 1


async def test_a_failure_waits_for_a_finalizer_that_is_a_function(served: Served, server: ToolServer):
    ir = finalizing(server, "always", broken=True)
    ir["tools"] = {"mail": {"kind": "python", "reference": "mail:send"}}
    execution = await start(served.registry, ir, x=1)
    item = await claim(served)
    assert (await served.registry.executions.get(COMMAND_LINE, execution)).status == "running"
    await served.http.post(f"/work-items/{item['id']}/complete", json={"output": None})
    row = await until(served.registry, execution)
    assert (row.status, row.error) == ("failed", "node work: there is no tool 'nobody' in the workflow's tools")
    assert [event.type for event in await events_of(served.registry, execution)][-1] == "workflow_failed"
