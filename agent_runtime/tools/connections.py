"""Everything a project connects to, side by side: the tools that are callable now, and how each source is."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from langchain_core.tools import BaseTool

from agent_runtime.project import Project
from agent_runtime.tools.naming import with_unique_names
from agent_runtime.tools.peers import PeerConnection
from agent_runtime.tools.standing import Timing
from groundwork.bounded_http import OpenTransport
from groundwork.masking import Mask

if TYPE_CHECKING:
    from agent_runtime.tools.mcp import McpConnection

logger = logging.getLogger(__name__)


class Connections:
    """The sources of one project. `tools` changes while they come and go; a tuple once read stays as it is."""

    def __init__(self, project: Project, timing: Timing, open_transport: OpenTransport | None = None) -> None:
        mask = Mask(project.secrets)
        self.tools: tuple[BaseTool, ...] = ()
        self._mcp = self._mcp_connections(project, mask, timing, open_transport)
        self._peers = [
            PeerConnection(peer, mask=mask, timing=timing, changed=self._gather, open_transport=open_transport)
            for peer in project.peers.values()
        ]

    def _mcp_connections(
        self, project: Project, mask: Mask, timing: Timing, open_transport: OpenTransport | None
    ) -> "list[McpConnection]":
        if not project.mcp:
            return []
        # Here, because the MCP library takes a third of a second to import, which most agents need not wait for.
        from agent_runtime.tools.mcp import McpConnection

        return [
            McpConnection(server, mask=mask, timing=timing, changed=self._gather, open_transport=open_transport)
            for server in project.mcp.values()
        ]

    @property
    def sources(self) -> "list[McpConnection | PeerConnection]":
        return [*self._mcp, *self._peers]

    def status(self) -> dict[str, dict[str, dict[str, Any]]]:
        """How every source is, as `/status` shows it; without secrets."""
        return {
            "mcp": {source.name: source.state() for source in self._mcp},
            "a2a": {source.name: source.state() for source in self._peers},
        }

    def _gather(self) -> None:
        self.tools = with_unique_names(tool for source in self.sources for tool in source.tools)


@asynccontextmanager
async def open_connections(
    project: Project, *, timing: Timing | None = None, open_transport: OpenTransport | None = None
) -> AsyncIterator[Connections]:
    """Connects to what the project names, and stays connected while the block runs. Never raises because
    something is down: that is in `status()`, and its tools appear when it comes.

    Waits `timing.settle_seconds` at most for the first answers, so that the first turn has its tools.
    `open_transport` makes the HTTP transport of each connection, for hosts that restrict where it may go.
    """
    timing = timing or Timing()
    connections = Connections(project, timing, open_transport)
    running = [
        asyncio.create_task(source.run(), name=f"connection {source.name}") for source in connections.sources
    ]
    for task in running:
        task.add_done_callback(_log_crash)
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(timing.settle_seconds):
                for source in connections.sources:
                    await source.settled()
        yield connections
    finally:
        # Together: a process that is slow to go holds up no other.
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _log_crash(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("%s crashed", task.get_name(), exc_info=error)
