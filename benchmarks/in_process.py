"""The yardstick: the same graph, called in a process, with LangGraph's own saver and nothing of ours.

    python -m benchmarks.in_process DSN SAVER     # one JSON command per line; see `answer`

SAVER is `stock`, as LangGraph's documentation has it, one `AsyncPostgresSaver` on a pool; or `ours`, the agent's.
"""

import asyncio
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from typing import Any, Literal

from langchain_core.messages import HumanMessage
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from agent_runtime.database import prepare_database
from benchmarks.graphs import GRAPHS, Metronome
from benchmarks.load import keep_busy
from benchmarks.loose_saver import LooseSaver
from benchmarks.subject import Command, answer_commands
from groundwork.postgres.pool import open_pool

Durability = Literal["sync", "async", "exit"]
Saver = BaseCheckpointSaver[str]

POOL_SIZE = 10
"""As many connections as an agent has by default."""


class InProcess:
    """Runs turns of a graph. Every turn opens its saver with `saver_for`."""

    def __init__(self, saver_for: Callable[[str], AbstractAsyncContextManager[Saver]]) -> None:
        self._saver_for = saver_for

    async def many(self, concurrent: int, seconds: float, text: str, durability: Durability) -> dict[str, Any]:
        latencies: list[float] = []
        started = time.perf_counter()

        async def turn(thread_id: str) -> float:
            return await self._turn(thread_id, text, durability)

        async with asyncio.TaskGroup() as group:
            for _ in range(concurrent):
                group.create_task(keep_busy(turn, started + seconds, latencies))
        return {"seconds": time.perf_counter() - started, "latencies": latencies}

    async def on(self, thread_id: str, turns: int, text: str, durability: Durability) -> dict[str, Any]:
        return {"latencies": [await self._turn(thread_id, text, durability) for _ in range(turns)]}

    async def tokens(self) -> dict[str, Any]:
        """The model's own time for its tokens."""
        started = time.perf_counter()
        async for _ in Metronome().astream("go"):
            pass
        return {"seconds": time.perf_counter() - started}

    async def _turn(self, thread_id: str, text: str, durability: Durability) -> float:
        started = time.perf_counter()
        async with self._saver_for(thread_id) as saver:
            await (
                GRAPHS["chat"]
                .compile(checkpointer=saver)
                .ainvoke(
                    {"messages": [HumanMessage(text)]},
                    {"configurable": {"thread_id": thread_id}},
                    durability=durability,
                )
            )
        return time.perf_counter() - started


@asynccontextmanager
async def open_stock(dsn: str) -> AsyncIterator[InProcess]:
    pool = AsyncConnectionPool(
        dsn,
        connection_class=AsyncConnection[DictRow],
        kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row},
        min_size=POOL_SIZE,
        max_size=POOL_SIZE,
        open=False,
    )
    async with pool:
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        yield InProcess(lambda thread_id: nullcontext(saver))


@asynccontextmanager
async def open_ours(dsn: str) -> AsyncIterator[InProcess]:
    async with open_pool(dsn, name="in-process", max_size=POOL_SIZE) as pool:
        await prepare_database(pool)

        @asynccontextmanager
        async def saver_for(thread_id: str) -> AsyncIterator[Saver]:
            saver = LooseSaver(pool, thread_id)
            yield saver
            await saver.finish()

        yield InProcess(saver_for)


_OPEN = {"stock": open_stock, "ours": open_ours}


async def main(dsn: str, saver: str) -> None:
    async with _OPEN[saver](dsn) as in_process:

        async def answer(command: Command) -> Any:
            return await getattr(in_process, command.pop("do"))(**command)

        await answer_commands(answer)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
