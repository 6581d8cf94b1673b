"""LangGraph's Postgres checkpointer, for one run: its own lock, and every write fenced by the turn."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import AsyncCursor
from psycopg.rows import DictRow, dict_row

from agent_runtime.turns import store
from agent_runtime.turns.types import Turn
from groundwork.postgres import Pool, database_errors


class TurnSaver(AsyncPostgresSaver):
    """The library's saver with two differences. It belongs to one run, so runs do not queue for one lock
    (langgraph#7259); and a write holds the turn's row in the same transaction, so nothing can be written
    for a turn that was cancelled, deleted with its thread, or taken over by another process.

    Raises `TurnSuperseded` and `DatabaseUnavailable` from the methods that LangGraph calls.
    """

    def __init__(self, pool: Pool, turn: Turn) -> None:
        super().__init__(pool)
        self._pool = pool
        self._turn = turn

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        """The one place where the library's saver touches a connection. It asks for a pipeline to write."""
        with database_errors():
            async with store.turn_fence(), self._pool.connection() as conn:
                if not pipeline:
                    async with conn.cursor(binary=True, row_factory=dict_row) as cursor:
                        yield cursor
                    return
                async with conn.pipeline(), conn.transaction(), conn.cursor(binary=True) as cursor:
                    await store.hold_turn(conn, self._turn)
                    yield cursor
