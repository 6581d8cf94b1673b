"""Which snapshot a turn has, and when connections are closed."""

import asyncio

import pytest

from agent_runtime.components.live import LiveSnapshot
from agent_runtime.components.snapshot import Piece, Snapshot
from agent_runtime.project.outbound import Peer
from agent_runtime.project.slots import Slot
from agent_runtime.tools.connections import Connections, open_connections
from agent_runtime.tools.source import Source


def snapshot(generation: int, *sources: Source) -> Snapshot:
    return Snapshot(generation, tuple(Piece(Slot("agent", source.name), source) for source in sources))


def opened(connections: Connections, *names: str) -> list[Source]:
    return [connections.open(Peer(name, "http://127.0.0.1:9")) for name in names]


async def test_a_turn_keeps_what_it_began_with_and_the_next_one_has_what_came_since() -> None:
    live = LiveSnapshot(snapshot(1), close=lambda source: None)
    with live.hold() as first:
        live.swap(snapshot(2))
        with live.hold() as second:
            assert (first.generation, second.generation, live.held) == (1, 2, 2)
    assert live.held == 0


async def test_connections_are_closed_when_their_last_turn_has_ended_and_not_before() -> None:
    async with open_connections() as connections:
        old, kept, new = opened(connections, "old", "kept", "new")
        closed: list[Source] = []
        live = LiveSnapshot(snapshot(1, old, kept), closed.append)
        with live.hold(), live.hold():
            live.swap(snapshot(2, kept, new))
            live.swap(snapshot(3, kept, new))
            assert closed == []
        assert closed == [old]


async def test_a_snapshot_that_nobody_holds_is_closed_when_the_next_one_comes() -> None:
    async with open_connections() as connections:
        old, new = opened(connections, "old", "new")
        live = LiveSnapshot(snapshot(1, old), connections.close)
        live.swap(snapshot(2, new))
        await asyncio.sleep(0.05)
        assert len(connections) == 1


@pytest.mark.parametrize("sources", [1, 3])
async def test_nothing_is_left_when_connections_are_closed_together(sources: int) -> None:
    before = asyncio.all_tasks()
    async with open_connections() as connections:
        opened(connections, *(f"peer{number}" for number in range(sources)))
        await asyncio.sleep(0)
    assert asyncio.all_tasks() == before
