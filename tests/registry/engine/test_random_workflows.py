"""Workflows made at random, answered at random: they end, and what is told of them is true."""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from itertools import pairwise
from typing import Any

import pytest

from registry.executions.models import TERMINAL
from registry.workflows.validation import read_workflow
from tests.registry.engine.executions import start
from tests.registry.engine.workflows import branches, document
from tests.registry.executions.runs import events_of
from tests.registry.registries import Served, running_registry

SEEDS = range(int(os.environ.get("TEST_SEEDS", "6")))
"""So many workflows are tried; more, when the engine was changed."""


@pytest.fixture
async def served(registry_dsn: str) -> AsyncIterator[Served]:
    async with running_registry(registry_dsn, worker=True) as served:
        yield served


class Author:
    """Writes a workflow: nodes in a row, each with a way on, and leaps over some of them. A counter, made by a
    function and looked at by a condition behind it, may lead back, twice."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.loops = seed % 2 == 1
        self.forks = seed % 4 != 3
        self.nodes: dict[str, dict[str, Any]] = {}
        self.edges: dict[tuple[str, str], str | None] = {}

    def write(self, name: str) -> dict[str, Any]:
        names = [f"n{number}" for number in range(self.dice.randint(2, 9))]
        for here, there in pairwise([*names, "end"]):
            later = [*names[names.index(here) + 1 :], "end"]
            earlier = names[: names.index(here) + 1]
            if self.loops and self.dice.random() < 0.25:
                self.count(here, self.dice.choice(earlier), there)
            else:
                self.some_node(here, there, later)
        return document(self.nodes, self.edges, workflow_id=name)

    def count(self, here: str, back: str, there: str) -> None:
        self.nodes[here] = {"type": "python_fn", "module": "m", "function": "count"}
        self.nodes[f"{here}?"] = branches(**{back: f"state.{here} < 3", there: None})
        self.edges[here, f"{here}?"] = None

    def some_node(self, here: str, there: str, later: Sequence[str]) -> None:
        if self.dice.random() < 0.2:
            limit = self.dice.randint(0, 9)
            self.nodes[here] = branches(**{self.dice.choice(later): f"state.x > {limit}", there: None})
            return
        kinds: list[dict[str, Any]] = [
            {"type": "human_approval"},
            {"type": "human_approval", "timeout_secs": 0.3, "fallback_node": self.dice.choice(later)},
            {"type": "wait", "condition": "timer", "timeout_secs": 0.05},
            {"type": "wait", "condition": "either", "timeout_secs": 0.2, "correlation_key": here},
            {"type": "wait", "correlation_key": here},
            {"type": "python_fn", "module": "m", "function": "f"},
            {"type": "join"},
            {"type": "parallel"},
        ]
        self.nodes[here] = self.dice.choice(kinds)
        leaps = self.dice.sample(later, self.dice.randint(0, min(2, len(later)))) if self.forks else []
        self.edges |= dict.fromkeys(((here, target) for target in [there, *leaps]), None)


class Reader:
    """Gives an execution what it waits for, in any order, until it has ended."""

    def __init__(self, served: Served, seed: int, workflow: dict[str, Any]) -> None:
        self.http = served.http
        self.dice = random.Random(seed)
        self.keys = [name for name, node in workflow["nodes"].items() if node["kind"].get("correlation_key")]

    async def read(self, execution: str) -> dict[str, Any]:
        for _ in range(500):
            row: dict[str, Any] = (await self.http.get(f"/executions/{execution}")).json()
            if row["status"] in TERMINAL:
                return row
            await self.dice.choice([self.approve, self.tell, self.work])(execution)
        raise AssertionError(f"does not end: {row}")

    async def approve(self, execution: str) -> None:
        pending = (await self.http.get(f"/executions/{execution}/approvals")).json()["pending"]
        if pending:
            name = self.dice.choice(pending)["node_id"]
            body = {"decision": "approved", "node_id": name, "state_patch": {"approved": {name: True}}}
            await self.http.post(f"/executions/{execution}/approve", json=body)

    async def tell(self, execution: str) -> None:
        await asyncio.sleep(0.02)
        if self.keys:
            key = self.dice.choice(self.keys)
            body = {"correlation_key": key, "payload": {f"heard {key}": self.dice.random()}}
            await self.http.post(f"/executions/{execution}/external-event", json=body)

    async def work(self, execution: str) -> None:
        claim = {"worker_id": "w", "queue_types": ["python_tool"]}
        answer = (await self.http.post("/work-items/claim", json=claim)).json()
        if answer["claimed"]:
            item = answer["work_item"]
            patch = {item["node_id"]: item["payload"]["input"].get(item["node_id"], 0) + 1}
            await self.http.post(f"/work-items/{item['id']}/complete", json={"state_patch": patch})


async def test_a_random_workflow_ends_and_its_events_tell_how(served: Served):
    for first in SEEDS[::10]:
        await asyncio.gather(*(run(served, seed) for seed in SEEDS[first : first + 10]))


async def run(served: Served, seed: int) -> None:
    author = Author(seed)
    workflow = author.write(f"random-{seed}")
    execution = await start(served.registry, workflow, x=seed % 10)
    row = await Reader(served, seed, workflow).read(execution)
    events = await events_of(served.http, execution, kind="object")
    check(author, workflow, row, [event["kind"] | {"sequence": event["sequence"]} for event in events])


def check(author: Author, workflow: dict[str, Any], row: dict[str, Any], events: list[dict[str, Any]]) -> None:
    told = "\n".join(str(event) for event in [workflow["nodes"], workflow["edges"], row, *events])
    assert row["status"] == "completed", told
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1)), told
    scheduled, completed, failed, skipped = (
        Counter(event["node_id"] for event in events if event["type"] == type_)
        for type_ in ("node_scheduled", "node_completed", "node_failed", "node_skipped")
    )
    # Two ways that are travelled at the same time may lead back to one node in one step: it runs once for both.
    assert completed + failed <= scheduled, told
    if not (author.loops and author.forks):
        assert completed + failed == scheduled, told
    assert row["steps_executed"] == completed.total(), told
    assert row["state"] == folded(row["initial_input"], events), told
    if not author.loops:
        assert scheduled + skipped == Counter(read_workflow(workflow).reachable), told


def folded(state: dict[str, Any], events: list[dict[str, Any]]) -> dict[str, Any]:
    for event in events:
        if event["type"] == "node_completed":
            state = {**state, **event["state_patch"]}
    return state
