"""A run over LangGraph's API, waited for, against the same turn over A2A: how many per second."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from functools import partial

from benchmarks.bench import Bench, Measure
from benchmarks.report import Row, at_least
from benchmarks.rows.turns import SECONDS, TEXT, over_a2a, rate
from benchmarks.served import Served, running_agent
from benchmarks.subject import Subject, running_subject


async def run(bench: Bench) -> Sequence[Row]:
    async with AsyncExitStack() as stack:
        load = await stack.enter_async_context(running_subject("benchmarks.load"))
        dsn = await stack.enter_async_context(bench.database())
        agent = await stack.enter_async_context(running_agent(dsn))
        rows: list[Row] = []
        for concurrent in (8, 32):
            bench.say(f"per second, {concurrent} at a time")
            variants: dict[str, Measure] = {
                "A2A, SendMessage": partial(over_a2a, load, agent, concurrent),
                "runs/wait": partial(over_langgraph, load, agent, concurrent),
            }
            samples = await bench.rounds(variants, unit="turns/s")
            ratios = samples.ratios("runs/wait", "A2A, SendMessage")
            rows.append(Row(f"`runs/wait` ÷ the same over A2A, {concurrent} concurrent", at_least(0.6), ratios))
    return rows


async def over_langgraph(load: Subject, agent: Served, concurrent: int) -> float:
    """Runs per second."""
    answer = await load.ask(
        do="runs", host=agent.host, port=agent.port, concurrent=concurrent, seconds=SECONDS, text=TEXT
    )
    return rate(answer)
