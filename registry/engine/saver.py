"""LangGraph's Postgres checkpointer, for one worker's hold on one execution."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from psycopg import AsyncCursor
from psycopg.rows import DictRow, dict_row

from groundwork.postgres import Connection, Pool, database_errors

Together = Callable[[Connection], Awaitable[None]]
"""Writes of ours that go into the transaction of one of the graph's."""


_PLAIN = "plain_json"


class _Serializer(JsonPlusSerializer):
    """The library's serializer, which knows no integer of more than 64 bits; in JSON there are such."""

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        try:
            return super().dumps_typed(obj)
        except TypeError:
            return _PLAIN, json.dumps(obj).encode()

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        kind, written = data
        return json.loads(written) if kind == _PLAIN else super().loads_typed(data)


class Recorder(Protocol):
    """Whoever writes down what the graph does. Both blocks surround the graph's own transaction."""

    def writing(self, task_id: str) -> AbstractAsyncContextManager[Together]: ...
    def checkpointing(self, checkpoint: Checkpoint) -> AbstractAsyncContextManager[Together]: ...


class ExecutionSaver(AsyncPostgresSaver):
    """The library's saver, with everything that it writes in one transaction with what we write about it: the
    events of a task that has ended, and the state at the end of a step.

    Ours comes first, and makes sure that the execution is still this worker's: nothing is written for one that was
    cancelled or taken up by another. It raises then, and so does the graph's run.
    """

    def __init__(self, pool: Pool, recorder: Recorder) -> None:
        super().__init__(pool, serde=_Serializer())
        self._pool = pool
        self._recorder = recorder

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        async with self._recorder.checkpointing(checkpoint) as ours:
            with _together_with(ours):
                return await super().aput(config, checkpoint, metadata, new_versions)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        async with self._recorder.writing(task_id) as ours:
            with _together_with(ours):
                await super().aput_writes(config, writes, task_id, task_path)

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        """The one place where the library's saver touches a connection. It asks for a pipeline to write."""
        with database_errors():
            async with self._pool.connection() as conn:
                if not pipeline:
                    async with conn.cursor(binary=True, row_factory=dict_row) as cursor:
                        yield cursor
                    return
                async with conn.transaction(), conn.cursor(binary=True) as cursor:
                    await _together.get()(conn)
                    yield cursor


async def _nothing(conn: Connection) -> None:
    """For writes that are none of a step's."""


# What is to be written with the write that this task of asyncio is making: the library calls our `_cursor` from
# within its own methods, and several of them run side by side.
_together: ContextVar[Together] = ContextVar("together", default=_nothing)


@contextmanager
def _together_with(ours: Together) -> Iterator[None]:
    before = _together.set(ours)
    try:
        yield
    finally:
        _together.reset(before)
