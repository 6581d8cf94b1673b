"""Connections to what a test has started, and patience with them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from langchain_core.messages import ToolMessage
from langchain_core.tools import BaseTool

from agent_runtime.project import CardSpec, Peer, Project
from agent_runtime.tools.connections import Connections, open_connections
from agent_runtime.tools.standing import Timing
from groundwork.mcp_server import McpServer


@asynccontextmanager
async def connected_to(
    *outside: McpServer | Peer, timing: Timing, secrets: Iterable[str] = ()
) -> AsyncIterator[Connections]:
    """The connections of a project that names these servers and peers."""
    project = Project(
        Path(),
        "graph:graph",
        CardSpec("test", "test"),
        mcp={one.name: one for one in outside if isinstance(one, McpServer)},
        peers={one.name: one for one in outside if isinstance(one, Peer)},
        secrets=tuple(secrets),
    )
    async with open_connections(project, timing=timing) as connections:
        yield connections


async def call_tool(tool: BaseTool, /, **arguments: Any) -> ToolMessage:
    """What the model is told when it calls the tool."""
    answer = await tool.ainvoke({"type": "tool_call", "id": "1", "name": tool.name, "args": arguments})
    assert isinstance(answer, ToolMessage)
    return answer


async def eventually(holds: Callable[[], object], seconds: float = 10) -> None:
    """Returns as soon as it holds. Raises `TimeoutError` if that takes too long."""
    async with asyncio.timeout(seconds):
        while not holds():
            await asyncio.sleep(0.02)
