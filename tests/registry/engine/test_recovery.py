"""Whichever write a worker does not get to, the next worker goes on as if nothing had happened."""

import os
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest

from groundwork.postgres.pool import DatabaseUnavailable
from registry.access import COMMAND_LINE
from registry.engine.drive import Driver
from registry.engine.executors import build_executors
from registry.engine.toolbox import WorkerContext
from registry.executions import store
from registry.executions.models import read_execution_id
from registry.outbound.clients import open_outbound
from registry.outbound.models import open_models
from registry.runtime import Registry
from tests.registry.engine.executions import events_of, start
from tests.registry.engine.workflows import STEP, branches, document
from tests.registry.registries import Served, running_registry

EVERYTHING = document(
    {
        "fork": {"type": "parallel", "branches": ["think", "ask", "work", "hear"]},
        "think": {"type": "model", "model_ref": "any", "prompt_ref": "Say hello."},
        "then": STEP,
        "ask": {"type": "human_approval"},
        "work": {"type": "python_fn", "module": "m", "function": "f"},
        "hear": {"type": "wait", "correlation_key": "news"},
        "meet": {"type": "join"},
        "again": branches(count="state.rounds != 2", end=None),
        "count": {"type": "python_fn", "module": "m", "function": "count"},
    },
    [
        ("think", "then"),
        *((name, "meet") for name in ("then", "ask", "work", "hear")),
        ("meet", "again"),
        ("count", "again"),
    ],
    workflow_id="everything",
)
"""Every way in which a node runs: at once, outside, and parked for others; a fork, a meeting and a loop."""

STRIDE = int(os.environ.get("TEST_STRIDE", "10"))
"""Not at every write, to save time; 1 for when the engine was changed."""


Write = Callable[..., Awaitable[Any]]


class Lifetimes:
    """Lets a worker live for so many writes; whoever comes after it is not bothered. Or only one of its writes
    fails, and what it does side by side with that one goes on."""

    def __init__(self, writes: int, *, only_one: bool = False) -> None:
        self.left = writes
        self.only_one = only_one
        self.died = False

    def counting(self, write: Write) -> Write:
        async def counted(*given: Any) -> Any:
            self.left -= 1
            if self.left == -1 if self.only_one else self.left < 0:
                self.died = True
                raise DatabaseUnavailable("this worker is no more")
            return await write(*given)

        return counted


@pytest.fixture
async def served(registry_dsn: str) -> AsyncIterator[Served]:
    async with running_registry(registry_dsn, jamjet_model="offline") as served:
        yield served


@asynccontextmanager
async def driver(registry: Registry, name: str) -> AsyncIterator[Driver]:
    settings, pool, jobs = registry.settings, registry.pool, registry.executions._jobs
    async with open_models(settings) as models, open_outbound(settings) as outbound:
        executors = build_executors(pool, models, outbound)
        yield Driver(WorkerContext(settings, pool, jobs, executors, name), set())


async def run(
    served: Served, monkeypatch: pytest.MonkeyPatch, writes: int, *, only_one: bool = False
) -> tuple[str, bool]:
    """Runs everything to its end, with a first worker that lives for so many writes. Returns the execution, and
    whether the worker died before the end."""
    registry, lifetimes = served.registry, Lifetimes(writes, only_one=only_one)
    execution = await start(registry, EVERYTHING)
    async with driver(registry, "first") as first, driver(registry, "second") as second:
        with monkeypatch.context() as patched, suppress(DatabaseUnavailable):
            for name in ("hold", "record_step"):
                patched.setattr(store, name, lifetimes.counting(getattr(store, name)))
            await drive_to_its_end(served, first, execution)
        await drive_to_its_end(served, second, execution)
    return execution, lifetimes.died


async def drive_to_its_end(served: Served, driver: Driver, execution: str) -> None:
    for _ in range(30):
        await driver.drive(str(read_execution_id(execution)))
        if (await served.registry.executions.get(COMMAND_LINE, execution)).completed_at:
            return
        await answer(served, execution)


async def answer(served: Served, execution: str) -> None:
    """Gives one of the nodes that wait what it waits for."""
    item = {"worker_id": "w", "queue_types": ["python_tool"]}
    claimed = (await served.http.post("/work-items/claim", json=item)).json()
    if claimed["claimed"]:
        item = claimed["work_item"]
        rounds = (await served.registry.executions.get(COMMAND_LINE, execution)).state.get("rounds", 0)
        patch = {"rounds": rounds + 1} if item["node_id"] == "count" else {"worked": True}
        await served.http.post(f"/work-items/{item['id']}/complete", json={"state_patch": patch})
        return
    approved = await served.http.post(f"/executions/{execution}/approve", json={"decision": "approved"})
    if approved.status_code == 409:
        told = {"correlation_key": "news", "payload": {"news": "good"}}
        await served.http.post(f"/executions/{execution}/external-event", json=told)


async def happened(registry: Registry, execution: str) -> Counter[str]:
    """What happened how often. That a node outside was started is told anew by each worker that starts it."""
    events = await events_of(registry, execution)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    return Counter(f"{e.type} {e.node_id}" for e in events if (e.type, e.node_id) != ("node_started", "think"))


@pytest.mark.parametrize("only_one", [False, True])
async def test_a_worker_may_be_lost_at_any_write(served: Served, monkeypatch: pytest.MonkeyPatch, only_one: bool):
    execution, died = await run(served, monkeypatch, 1000)
    expected, state = await happened(served.registry, execution), await state_of(served, execution)
    assert not died
    assert state["rounds"] == 2
    for writes in range(0, 1000, STRIDE):
        execution, died = await run(served, monkeypatch, writes, only_one=only_one)
        assert await state_of(served, execution) == state, writes
        assert await happened(served.registry, execution) == expected, writes
        if not died:
            break
    assert writes > 20


async def state_of(served: Served, execution: str) -> dict[str, Any]:
    row = await served.registry.executions.get(COMMAND_LINE, execution)
    assert row.status == "completed", row.error
    assert row.steps_executed == 12
    return row.state
