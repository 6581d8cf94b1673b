"""Reading a conversation out of a checkpoint, without building a single class of the program that wrote it."""

import asyncio
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import BaseMessage, RemoveMessage, convert_to_messages
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from agent_runtime.errors import ThreadUnreadable
from agent_runtime.graph.conversation import merge_messages
from agent_runtime.threads import store
from groundwork.postgres.checkpoint_values import StateSerializer
from groundwork.postgres.pool import Connection

STRICT = StateSerializer()
"""No class beyond the harmless ones: what an application has stored comes back as plain data."""

UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, NotImplementedError)
"""What decoding raises for data of another kind than it knows."""


async def read_conversation(
    conn: Connection, agent_id: str, thread_id: str, *, in_snapshot: bool = False
) -> list[BaseMessage]:
    """The whole conversation as of the latest checkpoint; empty when there is none yet. `in_snapshot` tells that
    the caller has a transaction in which the database stands still.

    Raises `ThreadNotFound`, `ThreadNotOurs`, and `ThreadUnreadable` when it cannot be decoded.
    """
    latest = await store.get_latest_messages(conn, agent_id, thread_id)
    if latest.version is None and not latest.is_inline:
        return []
    if latest.type is None and not latest.is_inline:
        return await _rebuild(conn, agent_id, thread_id, in_snapshot=in_snapshot)
    try:
        # A long conversation takes a while to decode, and other requests should not wait for it.
        return await asyncio.to_thread(_decode, latest)
    except Exception as error:
        raise ThreadUnreadable(thread_id, _reason(latest.type, error)) from error


def _decode(latest: store.LatestMessages) -> list[BaseMessage]:
    if latest.type is None:
        return as_messages(latest.inline_value)
    value = STRICT.loads_typed((latest.type, latest.blob or b""))
    return as_messages(value.value if isinstance(value, _DeltaSnapshot) else value)


async def _rebuild(conn: Connection, agent_id: str, thread_id: str, *, in_snapshot: bool) -> list[BaseMessage]:
    """The conversation of a graph that keeps its messages in a `DeltaChannel`, from snapshot and writes.

    It takes several reads, so they are made in one snapshot of the database.
    """
    async with conn.transaction():
        if not in_snapshot:
            await store.read_one_snapshot(conn)
        latest = await store.get_latest_messages(conn, agent_id, thread_id)
        if latest.version is None:
            return []
        assert latest.checkpoint_id is not None, "what has a version is of a checkpoint"
        return await rebuild_messages(conn, thread_id, latest.checkpoint_id)


async def read_checkpoint(
    conn: Connection, thread_id: str, checkpoint_id: str | None = None
) -> CheckpointTuple | None:
    """Return that checkpoint of the thread, or its latest; classes of the program come as plain data. Raises
    `ThreadUnreadable`."""
    place: dict[str, Any] = {"thread_id": thread_id, "checkpoint_ns": ""}
    if checkpoint_id is not None:
        place["checkpoint_id"] = checkpoint_id
    try:
        return await AsyncPostgresSaver(conn, serde=STRICT).aget_tuple({"configurable": place})
    except UNREADABLE as error:
        raise ThreadUnreadable(thread_id, f"a checkpoint, {type(error).__name__}") from error


async def rebuild_messages(conn: Connection, thread_id: str, checkpoint_id: str) -> list[BaseMessage]:
    """Return the messages of a `DeltaChannel` as of that checkpoint. Raises `ThreadUnreadable`."""
    config = {"thread_id": thread_id, "checkpoint_ns": "", "checkpoint_id": checkpoint_id}
    saver = AsyncPostgresSaver(conn, serde=STRICT)
    try:
        history = await saver.aget_delta_channel_history(config={"configurable": config}, channels=["messages"])
        return await asyncio.to_thread(_replay, history["messages"])
    except UNREADABLE as error:
        raise ThreadUnreadable(thread_id, _reason("delta channel", error)) from error


def _replay(history: Any) -> list[BaseMessage]:
    channel = DeltaChannel(_merge, list).from_checkpoint(history.get("seed", []))
    channel.replay_writes(history["writes"])
    return as_messages(channel.get())


def _merge(state: Any, writes: Sequence[Any]) -> list[BaseMessage]:
    """What LangGraph's message reducers do when they are replayed, whichever of them the graph has."""
    return merge_messages(as_messages(state), writes)


def as_messages(value: Any) -> list[BaseMessage]:
    """Return the value of a `messages` channel, or a write to one. Raises `ValueError` or
    `NotImplementedError` rather than leave out what it does not understand."""
    if value is None:
        return []
    messages = convert_to_messages(value if isinstance(value, list) else [value])
    return [message for message in messages if not isinstance(message, RemoveMessage)]


def _reason(kind: str | None, error: Exception) -> str:
    return f"{kind or 'inline'} data, {type(error).__name__}"
