"""All threads of an agent deleted, against a loop of the saver's own `adelete_thread`; and who waits meanwhile.

Another agent's turns go on beside both."""

import asyncio
import statistics
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack
from typing import Any

from agent_runtime.database import prepare_database
from benchmarks.bench import Bench
from benchmarks.filled import fill, prepared
from benchmarks.report import Row, at_least, at_most
from benchmarks.served import Served, running_agent
from benchmarks.subject import Subject, running_subject

SIZES = {10_000: 4.0, 100_000: 2.5}
"""How many threads there are, and how many times as fast their deletion has to be."""

LOOPED = 1_000
"""So many are deleted by the loop, whose pace is that of the others then."""

SECONDS_BEFORE = 4.0


async def run(bench: Bench) -> Sequence[Row]:
    rows: list[Row] = []
    for threads, goal in SIZES.items():
        rows += await _delete_all(bench, threads, goal)
    return rows


async def _delete_all(bench: Bench, threads: int, goal: float) -> Sequence[Row]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        dsn = await enter(bench.database())
        with bench.busy(f"writing {threads:,} threads of ten checkpoints"):
            await prepared(dsn, prepare_database)
            await fill(dsn, "threads", agent_id="doomed", threads=threads)
            tables = ("checkpoints", "checkpoint_blobs", "checkpoint_writes", "tasks")
            await fill(dsn, *tables, agent_id="doomed")
        deleting = await enter(running_subject("benchmarks.deleting", dsn))
        load = await enter(running_subject("benchmarks.load"))
        other = await enter(running_agent(dsn, agent_id="other"))
        usual = await _turns(load, other, SECONDS_BEFORE)
        looped, _ = await _beside_turns(load, other, deleting.ask(do="loop", threads=LOOPED))
        deleted, meanwhile = await _beside_turns(load, other, deleting.ask(do="all"))
    delayed = _p95(meanwhile) / _p95(usual)
    bench.say(f"{threads:,} threads: {deleted['rate']:,.0f} a second, in a loop {looped['rate']:,.0f}")
    bench.say(f"another agent's turns, p95: {_p95(usual):.3f} s before, {_p95(meanwhile):.3f} s meanwhile")
    return [
        Row(f"delete-all of {threads:,} threads ÷ a loop", at_least(goal), [deleted["rate"] / looped["rate"]]),
        Row(f"another agent's turns while {threads:,} threads go, p95 ÷ before", at_most(2), [delayed]),
        Row(f"deleting {threads:,} threads: memory above idle", at_most(20, "MB"), [deleted["megabytes"]]),
    ]


async def _beside_turns(load: Subject, agent: Served, work: Coroutine[Any, Any, Any]) -> tuple[Any, list[float]]:
    """What the work has returned, and the latencies of the turns that went on meanwhile."""
    working = asyncio.ensure_future(work)
    latencies: list[float] = []
    while not working.done():
        latencies += await _turns(load, agent, 1.0)
    return await working, latencies


async def _turns(load: Subject, agent: Served, seconds: float) -> list[float]:
    answer = await load.ask(
        do="many", host=agent.host, port=agent.port, concurrent=2, seconds=seconds, text="How are you?"
    )
    latencies: list[float] = answer["latencies"]
    return latencies


def _p95(latencies: Sequence[float]) -> float:
    return statistics.quantiles(latencies, n=20)[-1]
