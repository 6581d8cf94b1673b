"""A million threads given to another agent id, and how long a turn has to wait for it."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from functools import partial

from agent_runtime.database import prepare_database
from agent_runtime.threads.service import Threads
from benchmarks.bench import Bench, Measure
from benchmarks.filled import fill, prepared
from benchmarks.report import Row, at_most
from groundwork.postgres.pool import Pool, open_pool

THREADS = 1_000_000


async def run(bench: Bench) -> Sequence[Row]:
    async with bench.database() as dsn:
        with bench.busy(f"writing {THREADS:,} threads"):
            await prepared(dsn, prepare_database)
            await fill(dsn, "threads", agent_id="old", threads=THREADS)
        async with open_pool(dsn, name="bench") as pool:
            waits: list[float] = []
            variants: dict[str, Measure] = {
                "to a new id": partial(_there_and_back, pool, waits, "old", "new"),
                "into another agent": partial(_merge, pool, waits),
            }
            bench.say(f"seconds for {THREADS:,} threads")
            samples = await bench.rounds(variants, rounds=5, unit="s", warm_up=False)
    rows = [Row(f"{THREADS:,} threads migrated {how}", at_most(1, "s"), of) for how, of in samples.of.items()]
    return [*rows, Row("the longest wait of a claim meanwhile", at_most(100, "ms"), [1000 * max(waits)])]


async def _there_and_back(pool: Pool, waits: list[float], here: str, there: str) -> float:
    seconds = await _migrate(pool, waits, here, there)
    await _migrate(pool, waits, there, here)
    return seconds


async def _merge(pool: Pool, waits: list[float]) -> float:
    """Into an agent that has threads; then all of its threads go back where these came from."""
    merged = Threads(pool, "merged", forget=lambda thread_ids: None)
    for number in range(10):
        await merged.claim(f"merged {time.time()} {number}")
    return await _there_and_back(pool, waits, "old", "merged")


async def _migrate(pool: Pool, waits: list[float], old_id: str, new_id: str) -> float:
    async with _claiming(pool, waits, old_id):
        started = time.perf_counter()
        moved = await Threads(pool, new_id, forget=lambda thread_ids: None).migrate_agent_id(old_id, new_id)
        seconds = time.perf_counter() - started
    assert moved >= THREADS
    return seconds


@asynccontextmanager
async def _claiming(pool: Pool, waits: list[float], agent_id: str) -> AsyncIterator[None]:
    """Begins one thread of the agent after the other, as its turns do, and notes how long each claim took."""
    threads = Threads(pool, agent_id, forget=lambda thread_ids: None)

    async def claim() -> None:
        number = 0
        while True:
            number += 1
            started = time.perf_counter()
            await threads.claim(f"{agent_id} {started} {number}")
            waits.append(time.perf_counter() - started)
            await asyncio.sleep(0.002)

    claiming = asyncio.create_task(claim())
    await asyncio.sleep(0.05)
    try:
        yield
    finally:
        claiming.cancel()
        await asyncio.wait([claiming])
