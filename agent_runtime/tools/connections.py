"""Connections to MCP servers and peers: opened for whoever needs them, each looked after by a task of its own."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress

from agent_runtime.project.outbound import Peer
from agent_runtime.threads.peers import PeerNotes
from agent_runtime.tools.connection_state import Timing
from agent_runtime.tools.peer_notes import Tellers
from agent_runtime.tools.peers import PeerConnection
from agent_runtime.tools.source import Source
from groundwork.outgoing.bounded_http import OpenTransport
from groundwork.outgoing.masking import Mask
from groundwork.outgoing.mcp_server import McpServer
from groundwork.telemetry.tracing import context_of

logger = logging.getLogger(__name__)


class Connections:
    """Everything that is open. Whoever opens a source closes it; what is left is closed at the end.

    Nothing here raises because something is down: the source's state says so, and its tools appear when it comes.
    """

    def __init__(
        self, timing: Timing, open_transport: OpenTransport | None = None, notes: PeerNotes | None = None
    ) -> None:
        self.timing = timing
        self.tellers = Tellers()
        self._open_transport = open_transport
        self._notes = notes
        self._running: dict[Source, asyncio.Task[None]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        """How many sources are open, or not closed yet."""
        return len(self._running) + len(self._closing)

    def open(self, spec: McpServer | Peer, secrets: Iterable[str] = ()) -> Source:
        """Begins to connect, and stays connected until the source is closed."""
        source = self._source(spec, Mask(secrets))
        # It outlives the request that it may have been opened by, and is no part of it.
        task = asyncio.create_task(source.run(), name=f"connection {source.name}", context=context_of({}))
        task.add_done_callback(_log_crash)
        self._running[source] = task
        return source

    def close(self, source: Source) -> None:
        """Ends the connection, in the background: a process that is slow to go holds up nobody."""
        task = self._running.pop(source)
        task.cancel()
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def reached(self, source: Source, seconds: float) -> str | None:
        """Why the source cannot be used, after the first attempt to connect; `None` when it can."""
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await source.settled()
        state = source.state()
        if state["connected"]:
            return None
        return str(state.get("last_error", f"no answer within {seconds:g} seconds"))

    async def close_all(self) -> None:
        for source in list(self._running):
            self.close(source)
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _source(self, spec: McpServer | Peer, mask: Mask) -> Source:
        if isinstance(spec, Peer):
            return PeerConnection(
                spec,
                mask=mask,
                timing=self.timing,
                open_transport=self._open_transport,
                notes=self._notes,
                tellers=self.tellers,
            )
        # Here, because the MCP library takes a third of a second to import, which most agents need not wait for.
        from agent_runtime.tools.mcp import McpConnection

        return McpConnection(spec, mask=mask, timing=self.timing, open_transport=self._open_transport)


@asynccontextmanager
async def open_connections(
    timing: Timing | None = None,
    open_transport: OpenTransport | None = None,
    notes: PeerNotes | None = None,
) -> AsyncIterator[Connections]:
    """`open_transport` makes the HTTP transport of each connection, for hosts that restrict where it may go;
    `notes` keep which peers were asked."""
    connections = Connections(timing or Timing(), open_transport, notes)
    try:
        yield connections
    finally:
        await connections.close_all()


def _log_crash(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("connection crashed name=%s", task.get_name(), exc_info=error)
