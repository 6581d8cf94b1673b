"""Connections to what a test has started, and patience with them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Any

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool

from agent_runtime.components.snapshot import Piece, Snapshot
from agent_runtime.project.outbound import Peer
from agent_runtime.project.slots import Slot
from agent_runtime.tools.connection_state import Timing
from agent_runtime.tools.connections import open_connections
from groundwork.outgoing.mcp_server import McpServer


@asynccontextmanager
async def connected_to(
    *outside: McpServer | Peer, timing: Timing, secrets: Iterable[str] = ()
) -> AsyncIterator[Snapshot]:
    """What a turn of an agent with these servers and peers works with, once each has been tried."""
    async with open_connections(timing) as connections:
        pieces = [
            Piece(
                Slot("agent" if isinstance(one, Peer) else "mcp", one.name, None, one),
                connections.open(one, secrets),
            )
            for one in outside
        ]
        snapshot = Snapshot(1, tuple(pieces))
        for source in snapshot.sources:
            await connections.reached(source, timing.settle_seconds)
        yield snapshot


async def call_tool(tool: BaseTool, /, **arguments: Any) -> ToolMessage:
    """What the model is told when it calls the tool."""
    answer = await tool.ainvoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})
    assert isinstance(answer, ToolMessage)
    return answer


async def eventually(holds: Callable[[], object], seconds: float = 60) -> None:
    """Returns as soon as it holds. Raises `TimeoutError` if that takes too long."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.02)
