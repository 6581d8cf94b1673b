"""How much longer a caller waits for a turn than a program that calls the graph itself, with the same saver."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from statistics import median
from typing import Any

from benchmarks.bench import Bench
from benchmarks.report import Row, at_most
from benchmarks.rows.turns import TEXT
from benchmarks.served import Served, running_agent
from benchmarks.subject import Subject, running_subject

SECONDS = 1.5


async def run(bench: Bench) -> Sequence[Row]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        load = await enter(running_subject("benchmarks.load"))
        alone = await enter(running_subject("benchmarks.in_process", await enter(bench.database()), "ours"))
        agent = await enter(running_agent(await enter(bench.database())))
        bench.say("the median turn, one at a time")
        variants = {"in process, our saver": partial(in_process, alone), "served": partial(over_a2a, load, agent)}
        samples = await bench.rounds(variants, rounds=9, unit="ms")
    added = samples.differences("served", "in process, our saver")
    return [Row("added latency of one turn at 1 concurrent, p50", at_most(3, "ms"), added)]


async def in_process(subject: Subject) -> float:
    return middle(await subject.ask(do="many", concurrent=1, seconds=SECONDS, text=TEXT, durability="async"))


async def over_a2a(load: Subject, agent: Served) -> float:
    return middle(
        await load.ask(do="many", host=agent.host, port=agent.port, concurrent=1, seconds=SECONDS, text=TEXT)
    )


def middle(answer: dict[str, Any]) -> float:
    """The median latency, in milliseconds."""
    return float(median(answer["latencies"])) * 1000
