"""Executions run: through conditions, loops and branches, past waits, and to their end."""

import asyncio
from functools import partial
from typing import Any
from uuid import UUID

import pytest

from groundwork.postgres.pool import Connection
from registry.access import COMMAND_LINE
from registry.engine import sweep
from registry.errors import Conflict
from registry.executions import starting
from registry.executions.models import ExecutionRow, show_execution_id
from registry.queue.jobs import Jobs
from registry.runtime import Registry
from tests.registry.engine.executions import events_of, seen, start, story, until
from tests.registry.engine.slow_model import running_slow_model
from tests.registry.engine.workflows import STEP, branches, document
from tests.registry.registries import running_registry

Nodes = dict[str, dict[str, Any]]


@pytest.fixture
async def engine(registry_dsn):
    async with running_registry(registry_dsn, worker=True) as served:
        yield served.registry


async def test_a_chain_runs_to_its_end_and_every_step_is_told_once(engine: Registry):
    execution = await start(engine, document({"a": STEP, "b": STEP}, [("a", "b"), ("b", "end")]), x=1)
    row = await until(engine, execution)
    assert (row.status, row.state, row.steps_executed) == ("completed", {"x": 1}, 2)
    assert await story(engine, execution) == [
        "workflow_started",
        "node_scheduled a",
        "node_started a",
        "node_completed a",
        "node_scheduled b",
        "node_started b",
        "node_completed b",
        "workflow_completed",
    ]


async def test_events_are_numbered_from_one_without_gaps(engine: Registry):
    nodes = dict.fromkeys(("fork", "a", "b", "c", "meet"), STEP)
    ways = [("fork", "a"), ("fork", "b"), ("fork", "c"), ("a", "meet"), ("b", "meet"), ("c", "meet")]
    execution = await start(engine, document(nodes, ways))
    await until(engine, execution)
    numbers = [event.sequence for event in await events_of(engine, execution)]
    assert numbers == list(range(1, len(numbers) + 1))
    assert (await story(engine, execution)).count("node_completed meet") == 1


async def test_the_way_that_was_not_taken_is_skipped(engine: Registry):
    nodes: Nodes = {"if": branches(left="state.x > 1", right=None), "left": STEP, "right": STEP}
    execution = await start(engine, document(nodes, []), x=2)
    await until(engine, execution)
    told = await story(engine, execution)
    assert "node_skipped right" in told
    assert "node_completed left" in told


async def test_an_approval_pauses_and_its_patch_is_in_the_state_before_the_run_goes_on(engine: Registry):
    nodes: Nodes = {
        "ask": {"type": "human_approval", "description": "Sure?"},
        "if": branches(yes="state.a.b == 2", no=None),
        "yes": STEP,
        "no": STEP,
    }
    execution = await start(engine, document(nodes, [("ask", "if")]), a={"b": 1, "c": 3})
    paused = await until(engine, execution, "paused")
    assert paused.state == {"a": {"b": 1, "c": 3}}
    await engine.executions.approve(COMMAND_LINE, execution, decision="approved", state_patch={"a": {"b": 2}})
    row = await until(engine, execution)
    assert row.state == {"a": {"b": 2, "c": 3}, "decision": "approved"}
    assert "node_completed yes" in await story(engine, execution)


async def test_a_rejection_fails_the_execution_unless_a_way_is_meant_for_it(engine: Registry):
    ask: Nodes = {"ask": {"type": "human_approval", "description": "Sure?"}, "sorry": STEP}
    plain = await start(engine, document(ask, [("ask", "sorry")]))
    await until(engine, plain, "paused")
    await engine.executions.approve(COMMAND_LINE, plain, decision="rejected", user_id="ada", comment="no")
    assert (await until(engine, plain)).error == "node ask: approval rejected by ada: no"
    kind = document(ask, {("ask", "sorry"): 'state.decision == "rejected"'}, workflow_id="kind")
    expected = await start(engine, kind)
    await until(engine, expected, "paused")
    await engine.executions.approve(COMMAND_LINE, expected, decision="rejected")
    assert (await until(engine, expected)).status == "completed"


async def test_a_paused_branch_holds_up_no_other(engine: Registry):
    nodes: Nodes = {
        "fork": STEP,
        "ask": {"type": "human_approval", "description": "?"},
        "a": STEP,
        "b": STEP,
        "meet": STEP,
    }
    ways = [("fork", "ask"), ("fork", "a"), ("a", "b"), ("ask", "meet"), ("b", "meet")]
    execution = await start(engine, document(nodes, ways))
    await until(engine, execution, "paused")
    assert "node_completed b" in await story(engine, execution)
    await engine.executions.approve(COMMAND_LINE, execution, decision="approved")
    await until(engine, execution)
    assert (await story(engine, execution)).count("node_completed meet") == 1


async def test_an_event_that_comes_too_early_is_kept(engine: Registry):
    nodes: Nodes = {
        "first": {"type": "wait", "condition": "external_event", "correlation_key": "one"},
        "second": {"type": "wait", "condition": "external_event", "correlation_key": "two"},
    }
    execution = await start(engine, document(nodes, [("first", "second")]))
    await until(engine, execution, "paused")
    await engine.executions.tell(COMMAND_LINE, execution, "two", {"paid": True})
    assert (await until(engine, execution, "paused")).state == {}
    await engine.executions.tell(COMMAND_LINE, execution, "one", {"seen": 1})
    row = await until(engine, execution)
    assert row.state == {"paid": True, "seen": 1}
    with pytest.raises(Conflict):
        await engine.executions.tell(COMMAND_LINE, execution, "one", {})


async def test_a_timer_wakes_the_execution(engine: Registry):
    nodes: Nodes = {"nap": {"type": "wait", "condition": "timer", "timeout_secs": 0.2}, "up": STEP}
    execution = await start(engine, document(nodes, [("nap", "up")]))
    await until(engine, execution)
    assert "timer_fired nap" in await story(engine, execution)


async def test_nobody_deciding_in_time_leads_to_the_fallback(engine: Registry):
    nodes: Nodes = {
        "ask": {"type": "human_approval", "description": "?", "timeout_secs": 0.2, "fallback_node": "late"},
        "yes": STEP,
        "late": STEP,
    }
    execution = await start(engine, document(nodes, [("ask", "yes"), ("yes", "end")]))
    await until(engine, execution)
    told = await story(engine, execution)
    assert "node_completed late" in told
    assert "node_completed yes" not in told


async def test_a_subgraph_is_an_execution_whose_result_is_mapped(engine: Registry):
    child = document({"nap": {"type": "wait", "condition": "external_event"}}, [], workflow_id="child")
    await engine.workflows.register(COMMAND_LINE, child)
    call = {
        "type": "subgraph",
        "workflow_ref": "child",
        "input_mapping": {"n": "state.x"},
        "output_mapping": {"got": "result"},
    }
    execution = await start(engine, document({"call": call}, []), x=7)
    await until(engine, execution, "running")
    rows = await engine.executions.list(COMMAND_LINE, "paused", 10, 0)
    while not rows:
        await asyncio.sleep(0.02)
        rows = await engine.executions.list(COMMAND_LINE, "paused", 10, 0)
    child_id = show_execution_id(rows[0].execution_id)
    assert (await engine.executions.get(COMMAND_LINE, child_id)).state == {"n": 7}
    await engine.executions.tell(COMMAND_LINE, child_id, "any", {"got": "it"})
    assert (await until(engine, execution)).state == {"x": 7, "result": "it"}


async def test_cancelling_ends_what_it_has_begun_too(engine: Registry):
    child = document({"nap": {"type": "wait", "condition": "external_event"}}, [], workflow_id="child")
    await engine.workflows.register(COMMAND_LINE, child)
    execution = await start(engine, document({"call": {"type": "subgraph", "workflow_ref": "child"}}, []))
    while not await engine.executions.list(COMMAND_LINE, "paused", 10, 0):
        await asyncio.sleep(0.02)
    await engine.executions.cancel(COMMAND_LINE, execution)
    assert (await until(engine, execution)).status == "cancelled"
    assert [row.status for row in await engine.executions.list(COMMAND_LINE, None, 10, 0)] == ["cancelled"] * 2


async def test_a_loop_runs_as_often_as_its_condition_says(engine: Registry):
    again = branches(ask="state.more", end=None)
    nodes: Nodes = {"ask": {"type": "wait", "condition": "external_event"}, "again": again}
    execution = await start(engine, document(nodes, [("ask", "again")]))
    for more in (True, True, False):
        await until(engine, execution, "paused")
        await engine.executions.tell(COMMAND_LINE, execution, "any", {"more": more})
        await asyncio.sleep(0.1)
    await until(engine, execution)
    assert (await story(engine, execution)).count("node_completed ask") == 3


async def test_a_node_that_nobody_works_on_times_out_and_is_tried_again(engine: Registry):
    fn = {"type": "python_fn", "module": "m", "function": "f"}
    ir = document({"work": fn}, [], timeouts={"node_timeout": 0.2})
    ir["nodes"]["work"]["retry_policy"] = "fast"
    execution = await start(engine, ir)
    row = await until(engine, execution)
    assert row.status == "failed"
    assert (await story(engine, execution)).count("retry_scheduled work") == 1


async def test_the_workflows_own_time_ends_it(engine: Registry):
    ir = document({"nap": {"type": "wait", "condition": "external_event"}}, [], timeouts={"workflow_timeout": 0.3})
    assert (await until(engine, await start(engine, ir))).status == "limit_exceeded"


async def test_a_loop_may_come_round_to_a_node_that_still_waits(engine: Registry):
    nodes: Nodes = {
        "fork": STEP,
        "ask": {"type": "human_approval", "description": "?"},
        "hear": {"type": "wait", "correlation_key": "news"},
        "again": branches(fork="state.more", end=None),
    }
    execution = await start(engine, document(nodes, [("fork", "ask"), ("fork", "hear"), ("hear", "again")]))
    for more in (True, False):
        await until(engine, execution, "paused")
        await engine.executions.tell(COMMAND_LINE, execution, "news", {"more": more})
        await seen(engine, execution, partial(_has, "more", more))
    await until(engine, execution, "paused")
    await engine.executions.approve(COMMAND_LINE, execution, decision="approved")
    assert (await until(engine, execution)).status == "completed"
    assert (await story(engine, execution)).count("interrupt_raised ask") == 2


async def test_a_failed_node_is_no_step_that_was_executed(engine: Registry):
    ask = {"type": "human_approval", "description": "?"}
    execution = await start(engine, document({"a": STEP, "ask": ask}, [("a", "ask")]))
    await until(engine, execution, "paused")
    await engine.executions.approve(COMMAND_LINE, execution, decision="rejected")
    assert (await until(engine, execution)).steps_executed == 1


@pytest.mark.parametrize("name", ["way 0", "has space", "a:b|c", "__start__", "values", "ünï%41"])
async def test_nodes_may_be_called_what_they_like(engine: Registry, name: str):
    execution = await start(engine, document({name: STEP, "settle": STEP}, [(name, "settle")]))
    assert (await until(engine, execution)).status == "completed"


@pytest.fixture
def brief_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sweep, "_SWEEP_SECONDS", 0.2)
    monkeypatch.setattr(sweep, "_OVERDUE_SECONDS", 0.1)


@pytest.mark.usefixtures("brief_patience")
async def test_a_wait_ends_in_time_although_the_job_that_was_to_end_it_is_lost(engine: Registry):
    nodes: Nodes = {"nap": {"type": "wait", "condition": "timer", "timeout_secs": 0.6}, "up": STEP}
    execution = await start(engine, document(nodes, [("nap", "up")]))
    await until(engine, execution, "paused")
    await _lose_jobs(engine, "ring")
    await until(engine, execution)
    assert (await story(engine, execution)).count("timer_fired nap") == 1


@pytest.mark.usefixtures("brief_patience")
async def test_the_workflows_own_time_ends_it_although_the_job_that_was_to_is_lost(engine: Registry):
    ir = document({"nap": {"type": "wait", "condition": "external_event"}}, [], timeouts={"workflow_timeout": 0.6})
    execution = await start(engine, ir)
    await _lose_jobs(engine, "expire")
    assert (await until(engine, execution)).status == "limit_exceeded"


@pytest.mark.usefixtures("brief_patience")
async def test_a_parent_goes_on_although_the_report_of_its_child_is_lost(
    engine: Registry, monkeypatch: pytest.MonkeyPatch
):
    async def lost(jobs: Jobs, conn: Connection, execution_id: UUID) -> None:
        pass

    monkeypatch.setattr(Jobs, "defer_report", lost)
    await engine.workflows.register(COMMAND_LINE, document({"a": STEP}, [], workflow_id="child"))
    execution = await start(engine, document({"call": {"type": "subgraph", "workflow_ref": "child"}}, []))
    assert (await until(engine, execution)).status == "completed"


async def test_a_hundred_executions_at_once_all_end(engine: Registry):
    await engine.workflows.register(COMMAND_LINE, document({"a": STEP}, []))
    for _ in range(100):
        await engine.executions.start(COMMAND_LINE, "test", None, {})
    async with asyncio.timeout(60):
        while await engine.executions.list(COMMAND_LINE, "pending", 1, 0):
            await asyncio.sleep(0.2)
        while await engine.executions.list(COMMAND_LINE, "running", 1, 0):
            await asyncio.sleep(0.1)
    assert len(await engine.executions.list(COMMAND_LINE, "completed", 1000, 0)) == 100


@pytest.mark.usefixtures("brief_patience")
async def test_the_workflows_own_time_ends_it_although_all_workers_are_busy(registry_dsn: str):
    think = {"type": "model", "model_ref": "any", "prompt_ref": "hold"}
    ir = document({"think": think}, [], timeouts={"workflow_timeout": 0.5})
    async with (
        running_slow_model() as model,
        running_registry(
            registry_dsn, worker=True, jamjet_worker_concurrency=1, jamjet_model_seam_url=model.url
        ) as served,
    ):
        execution = await start(served.registry, ir)
        assert (await until(served.registry, execution)).status == "limit_exceeded"


@pytest.mark.usefixtures("brief_patience")
async def test_a_sweep_that_fails_is_not_the_last_one(engine: Registry, monkeypatch: pytest.MonkeyPatch):
    async def broken(*given: Any) -> None:
        raise ValueError("broken")

    monkeypatch.setattr(sweep.Sweep, "_requeue_stalled", broken)
    ir = document({"nap": {"type": "wait", "condition": "external_event"}}, [], timeouts={"workflow_timeout": 0.6})
    execution = await start(engine, ir)
    await _lose_jobs(engine, "expire")
    assert (await until(engine, execution)).status == "limit_exceeded"


async def test_a_workflow_that_calls_itself_ends(engine: Registry):
    call = {"type": "subgraph", "workflow_ref": "self"}
    # Twenty down and twenty up again, each of which takes a look of a worker when it cannot hear of jobs.
    row = await until(engine, await start(engine, document({"call": call}, [], workflow_id="self")), timeout=60)
    assert row.status == "failed"
    assert "nested more than 20 deep" in (row.error or "")


async def test_a_workflow_that_calls_itself_several_times_does_not_fill_the_queue(
    engine: Registry, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(starting, "LARGEST_FAMILY", 10)
    call = {"type": "subgraph", "workflow_ref": "self"}
    nodes: Nodes = {"fork": {"type": "parallel", "branches": ["a", "b", "c"]}, "a": call, "b": call, "c": call}
    row = await until(engine, await start(engine, document(nodes, [], workflow_id="self")))
    assert row.status == "failed"
    assert "may have begun 10 others at once" in (row.error or "")
    assert len(await engine.executions.list(COMMAND_LINE, None, 1000, 0)) < 100


@pytest.mark.parametrize("value", [2**64, -(10**300), {"lc": 2, "type": "constructor", "n": 2**70}])
async def test_any_integer_can_be_in_the_state(engine: Registry, value: Any):
    nodes: Nodes = {"hear": {"type": "wait", "condition": "external_event"}, "up": STEP}
    execution = await start(engine, document(nodes, [("hear", "up")]), given=value)
    await until(engine, execution, "paused")
    await engine.executions.tell(COMMAND_LINE, execution, "any", {"told": value})
    assert (await until(engine, execution)).state == {"given": value, "told": value}


def _has(key: str, value: Any, row: ExecutionRow) -> bool:
    return row.state.get(key) is value


async def test_a_worker_takes_the_executions_of_its_queues(registry_dsn):
    async with running_registry(registry_dsn, worker=True, jamjet_worker_queues=("slow",)) as served:
        plain = await start(served.registry, document({"a": STEP}, []))
        slow = await start(served.registry, document({"a": STEP}, [], workflow_id="s", labels={"queue": "slow"}))
        assert (await until(served.registry, slow)).status == "completed"
        assert (await served.registry.executions.get(COMMAND_LINE, plain)).status == "pending"


async def _lose_jobs(engine: Registry, name: str) -> None:
    async with engine.pool.connection() as conn:
        lost = await conn.execute("DELETE FROM procrastinate_jobs WHERE task_name = %s", [name])
        assert lost.rowcount == 1
