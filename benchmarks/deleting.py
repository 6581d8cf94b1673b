"""Deletes the threads of an agent, one after the other with LangGraph's own saver, or all of them with ours.

python -m benchmarks.deleting DSN     # one JSON command per line: {"do": "loop", "threads": 9} or {"do": "all"}
"""

import asyncio
import sys
import time
from typing import Any

import psutil
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from agent_runtime.threads.service import Threads
from benchmarks.subject import Command, answer_commands
from groundwork.postgres.pool import Pool, open_pool


async def loop(pool: Pool, threads: Threads, number: int) -> dict[str, Any]:
    """Leaves the threads' own rows and their tasks, of which the saver knows nothing."""
    page = await threads.list_threads(number, None)
    saver = AsyncPostgresSaver(pool)
    started = time.perf_counter()
    for thread_id in page.threads:
        await saver.adelete_thread(thread_id)
    return {"rate": len(page.threads) / (time.perf_counter() - started)}


async def delete_all(threads: Threads) -> dict[str, Any]:
    before, most = _megabytes(), 0.0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, _megabytes())
            await asyncio.sleep(0.05)

    watching = asyncio.create_task(watch())
    started = time.perf_counter()
    erasure = await threads.delete_all()
    seconds = time.perf_counter() - started
    watching.cancel()
    return {"rate": erasure.rows["agent_threads"] / seconds, "megabytes": max(0.0, most - before)}


def _megabytes() -> float:
    return float(psutil.Process().memory_info().rss) / 1e6


async def main(dsn: str) -> None:
    async with open_pool(dsn, name="deleting", max_size=4) as pool:
        threads = Threads(pool, "doomed", forget=lambda thread_ids: None)

        async def answer(command: Command) -> Any:
            if command["do"] == "loop":
                return await loop(pool, threads, command["threads"])
            return await delete_all(threads)

        await answer_commands(answer)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
