"""Writes down what a delta channel has come to, so that the checkpoints that it was made from can go."""

import asyncio
from collections.abc import Mapping
from typing import Any

from langgraph.channels import DeltaChannel
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.types import _DeltaSnapshot

from agent_runtime.retention import store
from groundwork.postgres.checkpoint_values import StateSerializer
from groundwork.postgres.pool import Connection

SLACK = 50
"""How many checkpoints more than are kept a thread gathers before a snapshot is written: it holds the whole
conversation, and one for each turn would cost as much as not to have such a channel."""


class Snapshots:
    """The delta channels of the agent's graph, and how their values are stored."""

    def __init__(
        self, channels: Mapping[str, DeltaChannel[Any]], serializer: StateSerializer, slack: int | None = None
    ) -> None:
        self._channels = channels
        self._serializer = serializer
        self._slack = SLACK if slack is None else slack

    async def write(self, conn: Connection, thread_id: str, keep: int) -> str | None:
        """Makes the oldest checkpoint that stays one that needs none before it, in the caller's transaction, which
        holds the thread, and returns its id: those before it can go now. `None` while they are few. Raises what
        the reducers and the serialiser do.
        """
        oldest = await store.find_oldest_kept(conn, thread_id, keep, self._slack)
        if oldest is None:
            return None
        checkpoint_id, versions = oldest
        stored = await store.list_stored_values(conn, thread_id, checkpoint_id)
        missing = [name for name in self._channels if name in versions and name not in stored]
        for name, typed in (await self._values(conn, thread_id, checkpoint_id, missing)).items():
            await store.put_snapshot(conn, thread_id, checkpoint_id, name, versions[name], typed)
        return checkpoint_id

    async def _values(
        self, conn: Connection, thread_id: str, checkpoint_id: str, names: list[str]
    ) -> dict[str, tuple[str, bytes]]:
        if not names:
            return {}
        saver = AsyncPostgresSaver(conn, serde=self._serializer)
        config = {"thread_id": thread_id, "checkpoint_ns": "", "checkpoint_id": checkpoint_id}
        history = await saver.aget_delta_channel_history(config={"configurable": config}, channels=names)
        # A long conversation takes a while to put together, and turns should not wait for it.
        return await asyncio.to_thread(lambda: {name: self._snapshot(name, history[name]) for name in names})

    def _snapshot(self, name: str, history: Mapping[str, Any]) -> tuple[str, bytes]:
        channel = self._channels[name]
        value = channel.from_checkpoint(history["seed"]) if "seed" in history else _empty(channel)
        value.replay_writes(history["writes"])
        return self._serializer.dumps_typed(_DeltaSnapshot(value.get()))


def _empty(channel: DeltaChannel[Any]) -> DeltaChannel[Any]:
    return channel.from_checkpoint(channel.typ())
