"""Workflows that cost more than the others may bear end themselves, and not the workers."""

import asyncio
import time
from typing import Any

import pytest

from groundwork.bounds import EVALUATION_STEPS, LOST_WORKERS, RENDERED_BYTES
from groundwork.postgres.pool import connection
from registry.engine import lifetime, run
from registry.engine.executors import outputs
from registry.engine.mapping import render, resolve
from registry.executions.models import read_execution_id
from registry.runtime import Registry
from registry.workers import store as workers
from registry.workflows.evaluation_budget import EvaluationBudget, EvaluationTooLarge
from registry.workflows.expressions import parse_expression
from tests.registry.engine.executions import start, until
from tests.registry.engine.workflows import STEP, branches, document
from tests.registry.registries import running_registry

ITEMS: list[Any] = [[["x"] * 3]] * 10_000
MUCH_WORK = " or ".join(["q in l"] * 200)
GIVEN = {"l": ITEMS, "q": [["x", "x", "y"]]}


@pytest.fixture
async def engine(registry_dsn):
    async with running_registry(registry_dsn, worker=True) as served:
        yield served.registry


async def test_a_condition_that_is_too_much_work_fails_its_node(engine: Registry):
    nodes: dict[str, Any] = {"if": branches(left=MUCH_WORK, right=None), "left": STEP, "right": STEP}
    row = await until(engine, await start(engine, document(nodes, []), **GIVEN))
    assert row.status == "failed"
    assert row.error is not None
    assert f"more than {EVALUATION_STEPS} steps of work" in row.error


async def test_a_way_out_that_is_too_much_work_fails_the_execution(engine: Registry):
    ways = {("a", "b"): MUCH_WORK, ("a", "c"): None}
    row = await until(engine, await start(engine, document({"a": STEP, "b": STEP, "c": STEP}, ways), **GIVEN))
    assert (row.status, row.steps_executed) == ("failed", 1)


@pytest.mark.parametrize(
    ("container", "item"),
    [
        (ITEMS * 10, [["x", "x", "y"]]),
        (["b" * 3] * 100_000, "abc"),
        (["a" * 900 + "b"] * 1_000, "a" * 900 + "c"),
        ([1] * 100_000, 2.5),
        ("a" * 900_000, "a" * 400 + "b"),
        ([[] for _ in range(100_000)], None),
    ],
)
def test_no_evaluation_holds_the_loop(container, item):
    expression = parse_expression(MUCH_WORK)
    started = time.thread_time()
    with pytest.raises(EvaluationTooLarge):
        expression.holds({"state": {"l": container, "q": item}})
    assert time.thread_time() - started < 0.05


def test_all_conditions_of_a_step_share_one_budget():
    budget, expression = EvaluationBudget(), parse_expression("q in l")
    scope = {"state": {"l": ["a"] * 100_000, "q": "b"}}
    expression.holds(scope, budget)
    with pytest.raises(EvaluationTooLarge):
        expression.holds(scope, budget)


@pytest.mark.parametrize("make", [render, resolve])
def test_a_template_makes_no_more_than_its_step_may(make):
    text = "{{ state.large }} " * 1000
    with pytest.raises(EvaluationTooLarge, match=f"more than {RENDERED_BYTES} characters"):
        make(text, {"state": {"large": "x" * 500_000}}, EvaluationBudget())


def test_references_count_with_what_they_put_in():
    document = {f"key {number}": "{{ state.large }}" for number in range(1000)}
    started = time.thread_time()
    with pytest.raises(EvaluationTooLarge):
        resolve(document, {"state": {"large": {"text": ["x" * 1000] * 500}}}, EvaluationBudget())
    assert time.thread_time() - started < 0.05


@pytest.mark.parametrize(
    ("bound", "most", "said"),
    [
        ("STATE_BYTES", 1000, "bytes; at most 1000 are kept"),
        ("WRITTEN_BYTES", 10_000, "more than 10000 bytes were written"),
        ("LIFETIME_STEPS", 20, "more than 20 steps were taken"),
    ],
)
async def test_an_execution_is_ended_that_holds_or_writes_too_much(
    engine: Registry, monkeypatch: pytest.MonkeyPatch, bound: str, most: int, said: str
):
    monkeypatch.setattr(lifetime, bound, most)
    endless = document({"a": STEP, "b": STEP}, [("a", "b"), ("b", "a")])
    row = await until(engine, await start(engine, endless, text="x" * 2000))
    assert row.status == "limit_exceeded"
    assert row.error is not None
    assert said in row.error


async def test_what_a_subgraph_writes_counts_for_whoever_began_it(
    engine: Registry, monkeypatch: pytest.MonkeyPatch
):
    await start(engine, document({"a": STEP}, [], workflow_id="child"))
    monkeypatch.setattr(lifetime, "WRITTEN_BYTES", 100_000)
    nodes: dict[str, Any] = {"call": {"type": "subgraph", "workflow_ref": "child"}, "again": STEP}
    loop = document(nodes, [("call", "again"), ("again", "call")])
    row = await until(engine, await start(engine, loop, text="x" * 10_000), timeout=30)
    assert (row.status, row.error) == ("limit_exceeded", "more than 100000 bytes were written")


async def test_a_node_has_no_longer_than_the_ceiling(engine: Registry, monkeypatch: pytest.MonkeyPatch):
    for module in (run, outputs):
        monkeypatch.setattr(module, "NODE_SECONDS", 0.3)
    async with asyncio.timeout(20), await asyncio.start_server(lambda reader, writer: None, "127.0.0.1") as silent:
        url = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}/"
        tools = {"slow": {"kind": "http", "reference": url}}
        nodes: dict[str, Any] = {"ask": {"type": "tool", "tool_ref": "slow"}}
        slow = document(nodes, [], tools=tools, timeouts={"node_timeout": 3_000_000})
        row = await until(engine, await start(engine, slow))
    assert row.status == "failed"


async def test_an_execution_over_which_three_workers_ended_is_failed(registry_dsn):
    async with running_registry(registry_dsn) as served:
        registry = served.registry
        execution = await start(registry, document({"a": STEP, "b": STEP}, [("a", "b")]))
        await _lost_over(registry, execution, LOST_WORKERS - 1)
    async with running_registry(registry_dsn, worker=True) as served:
        row = await until(served.registry, execution)
    assert (row.status, row.error) == ("failed", "3 workers ended while they ran this execution")


async def test_an_execution_that_went_on_is_not_blamed_for_workers_before(registry_dsn):
    async with running_registry(registry_dsn) as served:
        execution = await start(served.registry, document({"a": STEP, "b": STEP}, [("a", "b")]))
        await _lost_over(served.registry, execution, LOST_WORKERS - 2)
    async with running_registry(registry_dsn, worker=True) as served:
        assert (await until(served.registry, execution)).status == "completed"
        async with connection(served.registry.pool) as conn:
            row = await (await conn.execute("SELECT lost_workers FROM executions")).fetchone()
    assert row == {"lost_workers": 0}


async def _lost_over(registry: Registry, execution: str, times: int) -> None:
    """Leave the execution as it is when so many workers ended before, and one more has it in hand."""
    async with connection(registry.pool) as conn:
        await workers.put_worker(
            conn,
            tenant_id=None,
            worker_id="lost",
            queue_types=[],
            status="active",
            in_hand=[],
            started_at=None,
            seconds=0,
        )
        given = {"id": read_execution_id(execution), "times": times}
        await conn.execute(
            "UPDATE executions SET lost_workers = %(times)s, driver = 'lost' WHERE execution_id = %(id)s", given
        )
