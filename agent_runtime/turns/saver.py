"""LangGraph's Postgres checkpointer, for one run: its own lock, and every write fenced by the turn."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from copy import copy
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.base import id as checkpoint_ids
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import AsyncCursor
from psycopg.rows import DictRow, dict_row

from agent_runtime.turns import store
from agent_runtime.turns.types import Turn
from groundwork.postgres import Pool, database_errors

_RESUME = "__resume__"
"""The channel in which LangGraph keeps what `interrupt()` has returned."""


class TurnSaver(AsyncPostgresSaver):
    """The library's saver with four differences. It belongs to one run, so runs do not queue for one lock
    (langgraph#7259). A write holds the turn's row in the same transaction, so nothing can be written for a
    turn that was cancelled, deleted with its thread, or taken over by another process. The write by which the
    graph takes an answer is noted in that row. And its checkpoints come after those it has read, whatever the
    clocks say.

    Raises `TurnSuperseded` and `DatabaseUnavailable` from the methods that LangGraph calls.
    """

    def __init__(self, pool: Pool, turn: Turn, *, answers: bool = False) -> None:
        """`answers` says that the run answers an interrupt; the turn's row is told when the graph took it."""
        super().__init__(pool)
        self._pool = pool
        self._turn = turn
        self._answers = answers
        self._hold = store.hold_turn

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        found = await super().aget_tuple(config)
        if found is not None:
            _stay_ahead_of(found.checkpoint["id"])
        return found

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        return await AsyncPostgresSaver.aput(self._taking_answer(), config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        taken = any(channel == _RESUME for channel, _ in writes)
        saver = self._taking_answer() if taken else self
        await AsyncPostgresSaver.aput_writes(saver, config, writes, task_id, task_path)

    def _taking_answer(self) -> "TurnSaver":
        """This saver, for a write that cannot have come about without the answer: while it is outstanding, a
        resumed graph stores neither a checkpoint nor what an interrupt has returned."""
        if not self._answers:
            return self
        saver = copy(self)
        saver._hold = store.hold_answered_turn
        return saver

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
                    await self._hold(conn, self._turn)
                    yield cursor


def _stay_ahead_of(checkpoint_id: str) -> None:
    """Makes the next checkpoint ids of this process greater than this one, whatever its clock says.

    The greatest id is the latest checkpoint, and ids are made from the clock. After a turn on a machine whose
    clock is ahead, a turn here would store its checkpoints before that one's, and drop out of the conversation.
    """
    try:
        made = checkpoint_ids.UUID(checkpoint_id)
    except ValueError:
        return
    if made.version == 6 and made.time > (checkpoint_ids._last_v6_timestamp or 0):
        checkpoint_ids._last_v6_timestamp = made.time  # type: ignore[assignment]  # declared by its first value
