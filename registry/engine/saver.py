"""LangGraph's Postgres checkpointer, for one worker's hold on one execution."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Protocol

import ormsgpack
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import ChannelVersions, Checkpoint, CheckpointMetadata, CheckpointTuple
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.jsonplus import JsonPlusSerializer
from psycopg import AsyncCursor
from psycopg.rows import DictRow, dict_row

from groundwork.postgres.checkpoint_rows import CheckpointRows, ValueEncoder, config_of, values_apart
from groundwork.postgres.pool import Pool, connection

_PLAIN = "plain_json"


class NotJson(ValueError):
    """A checkpoint holds what no execution stores: somebody else has written to the database."""


class JsonSerializer(JsonPlusSerializer):
    """The library's format for JSON and bytes alone: nothing else is ever rebuilt, whatever the database holds.

    The library knows no integer of more than 64 bits; in JSON there are such.
    """

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        try:
            return super().dumps_typed(obj)
        except TypeError:
            return _PLAIN, json.dumps(obj).encode()

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Raises `NotJson`."""
        kind, written = data
        if kind == "null":
            return None
        if kind in ("bytes", "bytearray"):
            return written
        if kind == _PLAIN:
            return json.loads(written)
        if kind == "msgpack":
            return ormsgpack.unpackb(written, ext_hook=_refuse, option=ormsgpack.OPT_NON_STR_KEYS)
        raise NotJson(f"a checkpoint holds a value of the kind {kind!r}")


def _refuse(code: int, data: bytes) -> Any:
    raise NotJson(f"a checkpoint holds an object (extension {code}) where JSON is expected")


class Recorder(Protocol):
    """Whoever writes down what the graph does, with the graph's own rows in the same transaction."""

    async def store_task(self, task_id: str, rows: CheckpointRows) -> None:
        """What a task of the graph has written."""

    async def store_checkpoint(self, checkpoint: Checkpoint, rows: CheckpointRows) -> None:
        """The state at the end of a step."""


class ExecutionSaver(AsyncPostgresSaver):
    """The library's saver, but what is to be written is left to the recorder: it adds the events of a task that
    has ended, or the state at the end of a step, and makes sure that the execution is still this worker's. It
    raises where it is not, and so does the graph's run.
    """

    def __init__(self, pool: Pool, recorder: Recorder) -> None:
        super().__init__(pool, serde=JsonSerializer())
        self._pool = pool
        self._recorder = recorder
        self._encoder = ValueEncoder(self.serde)

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        encoded = await self._encoder.encode_values(values_apart(checkpoint, new_versions))
        rows = CheckpointRows()
        rows.add_checkpoint(config, checkpoint, metadata, encoded)
        await self._recorder.store_checkpoint(checkpoint, rows)
        return config_of(config, checkpoint)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        rows = CheckpointRows()
        rows.add_writes(config, await self._encoder.encode_writes(writes), task_id, task_path)
        await self._recorder.store_task(task_id, rows)

    async def _load_checkpoint_tuple(self, value: DictRow) -> CheckpointTuple:
        for channel, _, blob in value["channel_values"] or []:
            self._encoder.note_size(channel.decode(), len(blob or b""))
        return await super()._load_checkpoint_tuple(value)

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        """The one place where the library's saver touches a connection; only what reads does."""
        async with connection(self._pool) as conn, conn.cursor(binary=True, row_factory=dict_row) as cursor:
            yield cursor
