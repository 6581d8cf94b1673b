"""What owners of threads, the order of turns and stored tasks cost together, on top of A2A and checkpoints."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from benchmarks.bench import Bench, Samples
from benchmarks.report import Row, at_most
from benchmarks.rows.turns import TEXT, rate
from benchmarks.served import Served, running_agent, running_module
from benchmarks.subject import Subject, running_subject

CONCURRENT = 8
PAIRS = 3
"""Of two processes with the same code one is faster than the other by some hundredths, for as long as they live:
where their objects lie, and how their dictionaries hash, is up to chance."""

ROUNDS = 8
SECONDS = 0.5
"""Short: what else a machine does comes and goes within seconds, and a difference of a tenth shows only between
neighbours."""

BARE, SERVED = "A2A and checkpoints alone", "served"

AS_SERVED: dict[str, Any] = {"otel_instrumentation_a2a_sdk_enabled": "false"}
"""What `agent-runtime serve` sets for the libraries."""


async def run(bench: Bench) -> Sequence[Row]:
    slower: list[float] = []
    dearer: list[float] = []
    async with running_subject("benchmarks.load") as load:
        bench.say(f"turns per second, {CONCURRENT} at a time")
        for _ in range(PAIRS):
            samples, spent = await _measure_pair(bench, load)
            slower += [1 - ratio for ratio in samples.ratios(SERVED, BARE)]
            dearer += [1 - bare / served for bare, served in zip(spent[BARE][1:], spent[SERVED][1:], strict=True)]
    what = "ownership, order and tasks, on top of A2A + checkpoints"
    return [
        Row(what, at_most(0.10, "%"), slower),
        Row(f"{what}, of the agent's processor time", at_most(0.10, "%"), dearer),
    ]


async def _measure_pair(bench: Bench, load: Subject) -> tuple[Samples, dict[str, list[float]]]:
    """Turns per second of the two, and the processor time of a turn in each round, the first one included."""
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        bare = await enter(running_module("benchmarks.bare_agent", await enter(bench.database()), **AS_SERVED))
        agent = await enter(running_agent(await enter(bench.database())))
        spent: dict[str, list[float]] = {BARE: [], SERVED: []}
        variants = {
            BARE: partial(_turns, load, bare, spent[BARE]),
            SERVED: partial(_turns, load, agent, spent[SERVED]),
        }
        return await bench.rounds(variants, rounds=ROUNDS, unit="turns/s"), spent


async def _turns(load: Subject, agent: Served, spent: list[float]) -> float:
    """Turns per second; notes the processor time of one, in seconds."""
    before = agent.cpu_seconds
    answer = await load.ask(
        do="many", host=agent.host, port=agent.port, concurrent=CONCURRENT, seconds=SECONDS, text=TEXT
    )
    spent.append((agent.cpu_seconds - before) / len(answer["latencies"]))
    return rate(answer)
