"""LangGraph's Postgres checkpointer, for one run: its writes are gathered, and every one is fenced by the turn."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Literal
from urllib.parse import quote

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    DeltaChannelHistory,
    copy_checkpoint,
)
from langgraph.checkpoint.base import id as checkpoint_ids
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from psycopg import AsyncCursor
from psycopg.rows import DictRow, dict_row

from agent_runtime.turns import store
from agent_runtime.turns.conversation_cache import Channels, ConversationCache
from agent_runtime.turns.reports import TurnReport
from agent_runtime.turns.types import Turn, TurnRows
from agent_runtime.turns.write_behind import WriteBehind
from groundwork.postgres.checkpoint_rows import CheckpointRows, ValueEncoder, config_of, values_apart
from groundwork.postgres.checkpoint_values import StateSerializer
from groundwork.postgres.pool import Pool, connection, run_repeatable, transaction

Durability = Literal["sync", "async", "exit"]

_RESUME = "__resume__"
"""The channel in which LangGraph keeps what `interrupt()` has returned."""

_NS_SEPARATOR = "|"
"""Stands between the parts of a checkpoint's namespace."""

_MOST_WAITING = 16 * 1024 * 1024
"""With so many bytes gathered a run waits until they are stored."""


class TurnSaver(AsyncPostgresSaver):
    """LangGraph's saver, as a run of ours needs it.

    It belongs to one run, so runs do not queue for one lock (langgraph#7259). What a run writes is gathered for a
    few milliseconds and sent in one statement, which is a transaction; what is left when the run has ended is
    stored with the end of its turn (`take`). With the durability `sync` nothing is gathered, and every write waits
    until it is stored; with `exit` all is left for the end. Whoever reads through it reads what was written.

    Each statement holds the turn's row, so nothing can be written for a turn that was cancelled, deleted with its
    thread, or taken over by another process. The write by which the graph takes an answer is noted in that row.
    And its checkpoints come after those it has read, whatever the clocks say.

    A graph that a node calls with a thread id of its own gets a namespace of the turn's thread in its place: its
    checkpoints belong to that thread, and go when it goes.

    Raises `TurnSuperseded` and `DatabaseUnavailable` from the methods that LangGraph calls: with `async`, from one
    that is called later.
    """

    def __init__(
        self,
        pool: Pool,
        turn: Turn,
        *,
        serializer: StateSerializer | None = None,
        answers: bool = False,
        durability: Durability = "async",
        recent: ConversationCache | None = None,
        report: TurnReport | None = None,
    ) -> None:
        """`serializer` knows the classes that the graph's state may hold; by default there are none. `answers`
        says that the run answers an interrupt; the turn's row is told when the graph took it. `recent` is what
        this process remembers of its conversations. What `report` counts is stored with the checkpoints."""
        super().__init__(pool, serde=serializer or StateSerializer())
        self._pool = pool
        self._turn = turn
        self._answers = answers
        self._waits = durability == "sync"
        self._behind = WriteBehind(self._store, by_itself=durability == "async")
        self._encoder = ValueEncoder(self.serde)
        self._recent = recent
        self._report = report
        self._latest_id = ""
        self._seen: CheckpointTuple | None = None
        self._has_seen = False
        self._history: tuple[tuple[Any, ...], Mapping[str, DeltaChannelHistory]] | None = None

    async def take(self) -> CheckpointRows:
        """What is not stored yet, for whoever ends the turn to store."""
        return await self._behind.take()

    async def flush(self) -> None:
        """Once this returns, everything that the run has written is stored."""
        await self._behind.flush()

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        if (placed := self._place(config)) is not config:
            found = await super().aget_tuple(placed)
            return found and _as_asked(found, config)
        is_latest = self._is_for_latest(config["configurable"])
        if is_latest and self._has_seen:
            seen, self._seen, self._has_seen = self._seen, None, False
            return seen
        latest = self._turn.latest
        if latest is not None and latest.is_here and is_latest:
            found = await self._load_latest(latest.take())
        else:
            found = await super().aget_tuple(config)
        if found is not None:
            stay_ahead_of(found.checkpoint["id"])
        if is_latest:
            # A run looks where its thread stands before LangGraph does. Whoever gets a checkpoint changes it.
            self._seen, self._has_seen = _copied(found), True
        return found

    async def aget_delta_channel_history(
        self, *, config: RunnableConfig, channels: Sequence[str]
    ) -> Mapping[str, DeltaChannelHistory]:
        known = self._find_known(config["configurable"])
        if known is not None and known.keys() >= set(channels):
            # Lists of their own: what a turn that fails has done to its state must leave no trace.
            return {channel: DeltaChannelHistory(writes=[], seed=list(known[channel])) for channel in channels}
        placed = self._place(config)
        place = placed["configurable"]
        wanted = (place["thread_id"], place.get("checkpoint_ns", ""), place.get("checkpoint_id"), *channels)
        if self._history is not None and self._history[0] == wanted:
            (_, history), self._history = self._history, None
            return history
        history = await super().aget_delta_channel_history(config=placed, channels=channels)
        self._history = None if self._behind.has_begun else (wanted, history)
        return history

    async def adelete_thread(self, thread_id: str) -> None:
        placed = self._place({"configurable": {"thread_id": thread_id}})["configurable"]
        if "checkpoint_ns" not in placed:
            await super().adelete_thread(thread_id)
            return
        await self._behind.flush()
        async with transaction(self._pool) as conn:
            await store.delete_namespace(conn, self._turn, placed["checkpoint_ns"])

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        config = config or {"configurable": {"thread_id": self._turn.thread_id}}
        placed = self._place(config)
        async for found in super().alist(placed, filter=filter, before=before, limit=limit):
            yield found if placed is config else _as_asked(found, config)

    def remember(self, channels: Channels) -> None:
        """Keeps the values that delta channels have at the run's last checkpoint for the thread's next turn."""
        if self._recent is not None and self._latest_id and channels:
            self._recent.put(self._turn.thread_id, self._latest_id, channels)

    def _find_known(self, wanted: Mapping[str, Any]) -> Channels | None:
        if self._recent is None or wanted.get("checkpoint_ns") or wanted["thread_id"] != self._turn.thread_id:
            return None
        return self._recent.find(self._turn.thread_id, wanted.get("checkpoint_id") or "")

    def _place(self, config: RunnableConfig) -> RunnableConfig:
        """Where what is asked for stands: in the turn's own thread, whichever thread is named."""
        wanted = config["configurable"]
        if wanted["thread_id"] == self._turn.thread_id:
            return config
        # Without a colon, as which it would be the name of a task: then it would be pruned with that task's call.
        side = f"thread={quote(str(wanted['thread_id']), safe='')}"
        namespace = _NS_SEPARATOR.join(filter(None, (wanted.get("checkpoint_ns"), side)))
        placed = {**wanted, "thread_id": self._turn.thread_id, "checkpoint_ns": namespace}
        return {**config, "configurable": placed}

    def _is_for_latest(self, wanted: Mapping[str, Any]) -> bool:
        """Whether what was found with the turn's acceptance is what is wanted, and still the latest."""
        return (
            not (self._behind.has_begun or wanted.get("checkpoint_id") or wanted.get("checkpoint_ns"))
            and wanted["thread_id"] == self._turn.thread_id
        )

    async def _load_latest(self, row: DictRow | None) -> CheckpointTuple | None:
        if row is None:
            return None
        if row["checkpoint"]["v"] < 4:  # written by an older LangGraph: its saver knows how to read that
            return await super().aget_tuple({"configurable": {"thread_id": self._turn.thread_id}})
        return await self._load_checkpoint_tuple({**row, "thread_id": self._turn.thread_id, "checkpoint_ns": ""})

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        encoded = await self._encoder.encode_values(values_apart(checkpoint, new_versions))
        rows = self._behind.rows()
        rows.add_checkpoint(self._place(config), checkpoint, metadata, encoded)
        # While the answer is outstanding, a resumed graph stores no checkpoint.
        rows.takes_answer |= self._answers
        await self._added(rows)
        configurable = config["configurable"]
        if not configurable["checkpoint_ns"] and configurable["thread_id"] == self._turn.thread_id:
            self._latest_id = checkpoint["id"]
        return config_of(config, checkpoint)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        encoded = await self._encoder.encode_writes(writes)
        rows = self._behind.rows()
        rows.add_writes(self._place(config), encoded, task_id, task_path)
        rows.takes_answer |= self._answers and any(channel == _RESUME for channel, _ in writes)
        await self._added(rows)

    async def _added(self, rows: TurnRows) -> None:
        if self._waits or rows.size > _MOST_WAITING:
            await self._behind.flush()

    async def _store(self, rows: TurnRows) -> None:
        usage = self._report.news() if self._report else None
        await run_repeatable(self._pool, lambda conn: store.store_checkpoints(conn, self._turn, rows, usage))

    async def _load_checkpoint_tuple(self, value: DictRow) -> CheckpointTuple:
        channels: list[tuple[bytes, bytes, bytes | None]] = value["channel_values"] or []
        for channel, _, blob in channels:
            self._encoder.note_size(channel.decode(), len(blob or b""))
        build = partial(self._build_tuple, value)
        if self._encoder.has_large_values:
            return await asyncio.to_thread(build)
        return build()

    def _build_tuple(self, row: DictRow) -> CheckpointTuple:
        place = {"thread_id": row["thread_id"], "checkpoint_ns": row["checkpoint_ns"]}
        parent_id = row["parent_checkpoint_id"]
        checkpoint: Checkpoint = row["checkpoint"]
        values = (checkpoint.get("channel_values") or {}) | self._load_blobs(row["channel_values"])
        return CheckpointTuple(
            {"configurable": {**place, "checkpoint_id": row["checkpoint_id"]}},
            {**checkpoint, "channel_values": values},
            row["metadata"],
            {"configurable": {**place, "checkpoint_id": parent_id}} if parent_id else None,
            self._load_writes(row["pending_writes"]),
        )

    @asynccontextmanager
    async def _cursor(self, *, pipeline: bool = False) -> AsyncIterator[AsyncCursor[DictRow]]:
        """The one place where the library's saver touches a connection. It asks for a pipeline to write."""
        await self._behind.flush()
        async with store.turn_fence(), connection(self._pool) as conn:
            if not pipeline:
                async with conn.cursor(binary=True, row_factory=dict_row) as cursor:
                    yield cursor
                return
            async with conn.pipeline(), conn.transaction(), conn.cursor(binary=True) as cursor:
                await store.hold_turn(conn, self._turn)
                yield cursor


def _copied(found: CheckpointTuple | None) -> CheckpointTuple | None:
    return found and found._replace(
        checkpoint=copy_checkpoint(found.checkpoint), pending_writes=[*(found.pending_writes or ())]
    )


def _as_asked(found: CheckpointTuple, config: RunnableConfig) -> CheckpointTuple:
    """The checkpoint under the names of thread and namespace with which `config` asked for it."""
    asked = {"checkpoint_ns": "", **config["configurable"]}
    names = {name: asked[name] for name in ("thread_id", "checkpoint_ns")}

    def renamed(place: RunnableConfig) -> RunnableConfig:
        return {"configurable": {**place["configurable"], **names}}

    parent = found.parent_config and renamed(found.parent_config)
    return found._replace(config=renamed(found.config), parent_config=parent)


def stay_ahead_of(checkpoint_id: str) -> None:
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
