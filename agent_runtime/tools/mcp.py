"""One MCP server: a session that is opened again whenever it is lost, and tools that go through it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

from langchain_core.tools import BaseTool
from langchain_mcp_adapters.interceptors import MCPToolCallRequest, MCPToolCallResult
from langchain_mcp_adapters.sessions import StreamableHttpConnection
from langchain_mcp_adapters.tools import convert_mcp_tool_to_langchain_tool
from mcp.types import CallToolResult, Tool

from agent_runtime.tools.naming import tool_name
from agent_runtime.tools.results import bounded, failure
from agent_runtime.tools.source import Source
from agent_runtime.tools.standing import Standing, Timing
from groundwork.bounded_http import OpenTransport
from groundwork.masking import Mask, mask_url
from groundwork.mcp_server import McpServer
from groundwork.mcp_session import (
    CallFailed,
    CallRefused,
    McpSession,
    OutcomeUnknown,
    may_be_repeated,
    open_session,
)

logger = logging.getLogger(__name__)

# How long a call to a server that is known to be down waits for one more attempt.
_PATIENCE_SECONDS = 2.0
# Between two attempts, however many calls ask for one.
_LEAST_PAUSE_SECONDS = 0.1


class McpConnection(Source):
    """Keeps one server connected while `run` runs.

    Each session lives in a task of its own: it must be left in the task that entered it, and the MCP
    library cancels that task when a transport breaks.
    """

    def __init__(
        self,
        server: McpServer,
        *,
        mask: Mask,
        timing: Timing,
        open_transport: OpenTransport | None = None,
    ) -> None:
        self.name = server.name
        self.tools: tuple[BaseTool, ...] = ()
        self._server = server
        self._mask = mask
        self._timing = timing
        self._open_transport = open_transport
        self._standing = Standing()
        self._session: McpSession | None = None  # the one to use
        self._opened: McpSession | None = None  # the one that the latest attempt brought, in use or lost
        self._listed: list[Tool] = []
        self._made: tuple[BaseTool, ...] = ()
        self._attempt = asyncio.Event()  # set when the attempt that is under way, or comes next, is over
        self._first_attempt = self._attempt
        self._nudge = asyncio.Event()

    def state(self) -> dict[str, Any]:
        url = self._mask(mask_url(self._server.url)) if self._server.url else None
        return self._standing.as_json(url=url, tools=len(self.tools) if self._session else None)

    async def settled(self) -> None:
        """Returns when the first attempt to connect is over."""
        await self._first_attempt.wait()

    async def run(self) -> None:
        """Opens one session after the other until it is cancelled; what is open is then closed."""
        clock = asyncio.get_running_loop().time
        failures = 0
        while True:
            began_at, self._opened = clock(), None
            error = await self._hold_in_own_task()
            # A server that comes up only to die again is not hammered.
            failures = 1 if clock() - began_at > self._timing.longest_retry_seconds else failures + 1
            reason = self._mask.error(error) if error else "the session ended"
            if self._opened:
                self._lost(self._opened, reason)
            else:
                self._unavailable(reason)
                self._attempt_is_over()
            await self._pause(self._timing.retry_after(failures))

    async def call(self, tool: Tool, arguments: dict[str, Any]) -> CallToolResult:
        """Calls the tool. What goes wrong is part of the result, for the model to read, and never raised.

        A call whose outcome is unknown is repeated only when the tool declares that this does no harm.
        """
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._timing.call_timeout_seconds
        session = self._session or await self._next_session(_PATIENCE_SECONDS)
        if session is None:
            reason = self._standing.last_error or self._standing.status
            return failure(f"{self.name} cannot be reached at the moment ({reason}); nothing was done")
        try:
            return bounded(await self._call_in(session, tool, arguments, deadline))
        except CallRefused as error:
            return failure(f"{self.name}: {self._mask.error(error)}")
        except CallFailed as error:
            if isinstance(error, OutcomeUnknown) and not may_be_repeated(tool):
                return failure(
                    f"no answer from {self.name} ({self._mask.error(error)}): whether {tool.name} had its effect"
                    " is not known, so it was not called again"
                )
            first_error = self._mask.error(error)
        fresh = await self._next_session(deadline - clock())
        if fresh is None:
            return failure(f"no answer from {self.name} ({first_error})")
        try:
            return bounded(await self._call_in(fresh, tool, arguments, deadline))
        except CallFailed as error:
            return failure(f"no answer from {self.name}, twice ({self._mask.error(error)})")

    async def _call_in(
        self, session: McpSession, tool: Tool, arguments: dict[str, Any], deadline: float
    ) -> CallToolResult:
        rest = deadline - asyncio.get_running_loop().time()
        try:
            return await session.call(tool.name, arguments, max(rest, 0.001))
        except CallFailed as error:
            if error.session_lost:
                self._lost(session, self._mask.error(error))
            raise

    async def _next_session(self, patience: float) -> McpSession | None:
        """What the next attempt to connect brings; it is made now rather than when the pause is over."""
        if self._session is not None or patience <= 0:
            return self._session
        attempt = self._attempt
        self._nudge.set()
        with suppress(TimeoutError):
            async with asyncio.timeout(patience):
                await attempt.wait()
        return self._session

    async def _hold_in_own_task(self) -> BaseException | None:
        holding = asyncio.create_task(self._hold(), name=f"mcp-session {self.name}")
        try:
            await asyncio.wait({holding})
        finally:
            # There is something to cancel only when we are cancelled ourselves.
            holding.cancel()
            await asyncio.wait({holding})
        return None if holding.cancelled() else holding.exception()

    async def _hold(self) -> None:
        timeout = self._timing.open_timeout_seconds
        async with self._open() as session:
            self._publish(session, await session.list_tools(timeout))
            while await self._until_list_is_due(session):
                self._publish(session, await session.list_tools(timeout))

    def _open(self) -> AbstractAsyncContextManager[McpSession]:
        return open_session(
            self._server,
            open_seconds=self._timing.open_timeout_seconds,
            call_seconds=self._timing.call_timeout_seconds,
            open_transport=self._open_transport,
        )

    async def _until_list_is_due(self, session: McpSession) -> bool:
        return await session.until_list_is_due(
            self._timing.list_seconds,
            ping_seconds=self._timing.ping_seconds,
            ping_timeout_seconds=self._timing.ping_timeout_seconds,
        )

    def _publish(self, session: McpSession, listed: list[Tool]) -> None:
        if self._session is None:
            logger.info("MCP server %s is connected, with %d tools", self.name, len(listed))
        self._session = self._opened = session
        self._standing.connected()
        self._attempt.set()
        if listed != self._listed:
            self._listed = listed
            self._made = tuple(self._make_tool(tool) for tool in listed)
        self.tools = self._made

    def _lost(self, session: McpSession, error: str) -> None:
        """Takes the session's tools away. Does nothing when that has been done before."""
        if session is self._session:
            self._session = None
            self._attempt = asyncio.Event()
            self._unavailable(error)
            session.end()

    def _attempt_is_over(self) -> None:
        self._attempt.set()
        self._attempt = asyncio.Event()

    def _unavailable(self, error: str) -> None:
        if self._standing.status != "unavailable":
            logger.warning("MCP server %s is unavailable: %s", self.name, error)
        self._standing.unavailable(error)
        self.tools = ()

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, _LEAST_PAUSE_SECONDS))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._nudge.wait()
        self._nudge.clear()

    def _make_tool(self, tool: Tool) -> BaseTool:
        # The adapter makes the LangChain tool and translates results; the connection that it asks for is
        # never used, because every call goes the way above.
        unused = StreamableHttpConnection(transport="streamable_http", url="")
        made = convert_mcp_tool_to_langchain_tool(
            None, tool, connection=unused, tool_interceptors=[_ThroughConnection(self, tool)]
        )
        made.name = tool_name(self.name, tool.name)
        return made


class _ThroughConnection:
    """Sends a call through whatever session is open at the time."""

    def __init__(self, connection: McpConnection, tool: Tool) -> None:
        self._connection = connection
        self._tool = tool

    async def __call__(
        self,
        request: MCPToolCallRequest,
        handler: Callable[[MCPToolCallRequest], Awaitable[MCPToolCallResult]],
    ) -> MCPToolCallResult:
        return await self._connection.call(self._tool, request.args)
