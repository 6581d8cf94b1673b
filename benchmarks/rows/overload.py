"""Ten times the requests a service can answer: how soon the rest is refused, and how soon all is well again.

A message is taken on when its turn is done, an execution when it is in the queue."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from statistics import median

import httpx

from benchmarks.bench import Bench
from benchmarks.report import Row, at_least, at_most
from benchmarks.rows.memory import STEPS
from benchmarks.served import Served, running_agent, running_registry
from benchmarks.subject import Subject, running_subject

TEXT = "How are you today?"
TIMES = 10
SECONDS = 8.0
ROUNDS = 2
AT_ONCE = 8
USUAL_SECONDS = 3.0


@dataclass
class Found:
    refused_within: list[float] = field(default_factory=list)
    taken_on: list[float] = field(default_factory=list)
    broken: list[float] = field(default_factory=list)
    recovered: list[float] = field(default_factory=list)

    def rows(self, what: str) -> list[Row]:
        return [
            Row(f"{what}, {TIMES} times the load: until one is refused", at_most(1, "s"), self.refused_within),
            Row(f"{what}, {TIMES} times the load: taken on ÷ taken on without it", at_least(0.3), self.taken_on),
            Row(f"{what}, {TIMES} times the load: neither answered nor refused", at_most(0), self.broken),
            Row(f"{what}, {TIMES} times the load: until all is well again", at_most(5, "s"), self.recovered),
        ]


async def run(bench: Bench) -> Sequence[Row]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        load = await enter(running_subject("benchmarks.load"))
        flood = await enter(running_subject("benchmarks.overload"))
        agent = await enter(running_agent(await enter(bench.database())))
        rows = (await _flooded(bench, load, flood, agent, "many", text=TEXT)).rows("messages")
        registry = await enter(running_registry(await enter(bench.database())))
        async with httpx.AsyncClient(base_url=registry.url) as http:
            (await http.post("/workflows", json={"ir": STEPS})).raise_for_status()
        workflow_id = STEPS["workflow_id"]
        found = await _flooded(bench, load, flood, registry, "start", workflow_id=workflow_id)
    return [*rows, *found.rows("executions")]


async def _flooded(bench: Bench, load: Subject, flood: Subject, served: Served, doing: str, **asked: str) -> Found:
    found, at = Found(), {"host": served.host, "port": served.port, **asked}
    for _ in range(bench.wanted_rounds(ROUNDS)):
        usual = await load.ask(do=doing, concurrent=AT_ONCE, seconds=USUAL_SECONDS, **at)
        capacity, well = len(usual["latencies"]) / usual["seconds"], 3 * median(usual["latencies"])
        told = await flood.ask(rate=TIMES * capacity, seconds=SECONDS, well=well, **at)
        bench.say(
            f"  {capacity:.0f} a second; of {TIMES} times as many {len(told['accepted'])} were accepted,"
            f" {len(told['refused'])} refused, {len(told['broken'])} broke off"
        )
        for broken_off in told["broken"][:3]:
            bench.say(f"  {broken_off}")
        found.refused_within.append(median(told["refused"]) if told["refused"] else 0.0)
        found.taken_on.append(len(told["accepted"]) / (SECONDS * capacity))
        found.broken.append(float(len(told["broken"])))
        found.recovered.append(told["recovered_after"])
    return found
