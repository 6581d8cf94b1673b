"""Writes down what a delta channel has come to, so that the checkpoints that it was made from can go."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from langgraph.channels import DeltaChannel
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.checkpoint.serde.types import _DeltaSnapshot
from langgraph.pregel import Pregel

from agent_runtime.retention import store
from agent_runtime.threads.store import find_graph
from groundwork.postgres.checkpoint_values import StateSerializer
from groundwork.postgres.pool import Connection

SLACK = 50
"""How many checkpoints more than are kept a thread gathers before a snapshot is written: it holds the whole
conversation, and one for each turn would cost as much as not to have such a channel."""


@dataclass(frozen=True)
class DeltaChannels:
    """The delta channels of a graph, and how their values are stored."""

    channels: Mapping[str, DeltaChannel[Any]]
    serializer: StateSerializer

    @classmethod
    def of(cls, graph: Pregel[Any, Any, Any, Any], serializer: StateSerializer) -> "DeltaChannels":
        deltas = {name: each for name, each in graph.channels.items() if isinstance(each, DeltaChannel)}
        return cls(deltas, serializer)


class Snapshots:
    """Writes snapshots of the delta channels of an agent's graphs, of which the first answers where no other is
    named."""

    def __init__(self, graphs: Mapping[str, DeltaChannels], slack: int | None = None) -> None:
        self._graphs = graphs
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
        deltas = await self._deltas(conn, thread_id)
        missing = [name for name in deltas.channels if name in versions and name not in stored]
        for name, typed in (await _values(conn, deltas, thread_id, checkpoint_id, missing)).items():
            await store.put_snapshot(conn, thread_id, checkpoint_id, name, versions[name], typed)
        return checkpoint_id

    async def _deltas(self, conn: Connection, thread_id: str) -> DeltaChannels:
        default = next(iter(self._graphs.values()))
        if len(self._graphs) == 1:
            return default
        return self._graphs.get(await find_graph(conn, thread_id) or "", default)


async def _values(
    conn: Connection, deltas: DeltaChannels, thread_id: str, checkpoint_id: str, names: list[str]
) -> dict[str, tuple[str, bytes]]:
    if not names:
        return {}
    saver = AsyncPostgresSaver(conn, serde=deltas.serializer)
    config = {"thread_id": thread_id, "checkpoint_ns": "", "checkpoint_id": checkpoint_id}
    history = await saver.aget_delta_channel_history(config={"configurable": config}, channels=names)
    # A long conversation takes a while to put together, and turns should not wait for it.
    return await asyncio.to_thread(lambda: {name: _snapshot(deltas, name, history[name]) for name in names})


def _snapshot(deltas: DeltaChannels, name: str, history: Mapping[str, Any]) -> tuple[str, bytes]:
    channel = deltas.channels[name]
    value = channel.from_checkpoint(history["seed"]) if "seed" in history else _empty(channel)
    value.replay_writes(history["writes"])
    return deltas.serializer.dumps_typed(_DeltaSnapshot(value.get()))


def _empty(channel: DeltaChannel[Any]) -> DeltaChannel[Any]:
    return channel.from_checkpoint(channel.typ())
