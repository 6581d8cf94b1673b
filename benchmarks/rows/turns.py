"""A served turn against the yardstick: how many turns per second, many at a time."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Any

from benchmarks.bench import Bench, Measure
from benchmarks.in_process import Durability
from benchmarks.report import Row, at_least
from benchmarks.served import Served, running_agent
from benchmarks.subject import Subject, running_subject

TEXT = "How are you today?"
YARDSTICK = "in process, stock saver, async"
SECONDS = 2.0


async def run(bench: Bench) -> Sequence[Row]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        load = await enter(running_subject("benchmarks.load"))
        yardstick = await enter(running_subject("benchmarks.in_process", await enter(bench.database()), "stock"))
        served = {
            durability: await enter(running_agent(await enter(bench.database()), checkpoint_durability=durability))
            for durability in ("async", "exit")
        }
        rows: list[Row] = []
        for concurrent in (8, 32):
            bench.say(f"turns per second, {concurrent} at a time")
            variants: dict[str, Measure] = {
                YARDSTICK: partial(in_process, yardstick, concurrent, "async"),
                "served, async": partial(over_a2a, load, served["async"], concurrent),
                "served, exit": partial(over_a2a, load, served["exit"], concurrent),
            }
            samples = await bench.rounds(variants, unit="turns/s")
            for durability, goal in (("async", 1.1), ("exit", 1.5)):
                ratios = samples.ratios(f"served, {durability}", YARDSTICK)
                what = f"a served turn ÷ the yardstick, `{durability}`, {concurrent} concurrent"
                rows.append(Row(what, at_least(goal), ratios))
    return rows


async def over_a2a(load: Subject, agent: Served, concurrent: int) -> float:
    """Turns per second."""
    answer = await load.ask(
        do="many", host=agent.host, port=agent.port, concurrent=concurrent, seconds=SECONDS, text=TEXT
    )
    return rate(answer)


async def in_process(subject: Subject, concurrent: int, durability: Durability) -> float:
    """Turns per second."""
    answer = await subject.ask(do="many", concurrent=concurrent, seconds=SECONDS, text=TEXT, durability=durability)
    return rate(answer)


def rate(answer: dict[str, Any]) -> float:
    return len(answer["latencies"]) / float(answer["seconds"])
