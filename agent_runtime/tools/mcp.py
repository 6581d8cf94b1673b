"""One MCP server: a session that is opened again whenever it is lost, and tools that go through it."""

import asyncio
import logging
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

from langchain_core.messages import ToolMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.tools import BaseTool
from mcp.types import Tool
from pydantic import PrivateAttr

from agent_runtime.tools.connection_state import ConnectionState, Timing
from agent_runtime.tools.naming import tool_name
from agent_runtime.tools.questions import OpenCalls, OutcomeLost
from agent_runtime.tools.results import artifact_of, content_of, failure
from agent_runtime.tools.source import Source
from groundwork.outgoing.bounded_http import OpenTransport
from groundwork.outgoing.masking import Mask, mask_url
from groundwork.outgoing.mcp_results import ToolResult
from groundwork.outgoing.mcp_schemas import Listing
from groundwork.outgoing.mcp_server import McpServer
from groundwork.outgoing.mcp_session import (
    AnswerUnreadable,
    Ask,
    CallFailed,
    CallRefused,
    McpSession,
    OutcomeUnknown,
    may_be_repeated,
    open_session,
)

logger = logging.getLogger(__name__)

_MOST_ATTEMPTS = 3

# Of the tools that are left out, in the status.
_MOST_NAMED, _LONGEST_NAME = 50, 200

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
        self._standing = ConnectionState()
        self._session: McpSession | None = None  # the one to use
        self._opened: McpSession | None = None  # the one that the latest attempt brought, in use or lost
        self._listed = Listing()
        self._open_calls = OpenCalls(server.name)
        self._made: tuple[BaseTool, ...] = ()
        self._attempt = asyncio.Event()  # set when the attempt that is under way, or comes next, is over
        self._first_attempt = self._attempt
        self._nudge = asyncio.Event()

    def state(self) -> dict[str, Any]:
        url = self._mask(mask_url(self._server.url)) if self._server.url else None
        left_out = self._listed.left_out if self._session else {}
        shown = {
            self._mask(name)[:_LONGEST_NAME]: self._mask(left_out[name]) for name in [*left_out][:_MOST_NAMED]
        }
        return self._standing.as_json(
            url=url, tools=len(self.tools) if self._session else None, left_out=shown or None
        )

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

    async def call(
        self, tool: Tool, arguments: dict[str, Any], call_id: str | None, config: RunnableConfig
    ) -> ToolResult:
        """Calls the tool. What goes wrong is part of the result, for the model to read, and never raised.

        What the server asks meanwhile is asked by LangGraph's `interrupt`.
        """
        try:
            return await self._open_calls.make(
                tool.name, call_id, config, lambda ask: self._call(tool, arguments, ask)
            )
        except OutcomeLost:
            return self._not_known(tool, "the process that waited for an answer to its question is gone")

    async def _call(self, tool: Tool, arguments: dict[str, Any], ask: Ask | None) -> ToolResult:
        """Calls once, and again where nothing was done or the tool declares that this does no harm."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + self._call_seconds
        session = self._session or await self._next_session(_PATIENCE_SECONDS)
        reason, attempts, nothing_done = self._standing.last_error or self._standing.status, 0, True
        while session is not None and attempts < _MOST_ATTEMPTS and (rest := deadline - clock()) > 0:
            attempts += 1
            try:
                return await session.call(tool.name, arguments, rest, ask)
            except CallRefused as error:
                return failure(f"{self.name}: {self._mask.error(error)}")
            except CallFailed as error:
                reason = self._mask.error(error)
                if error.session_lost:
                    self._lost(session, reason)
                if isinstance(error, OutcomeUnknown):
                    nothing_done = False
                    if isinstance(error, AnswerUnreadable) or not may_be_repeated(tool):
                        return self._not_known(tool, reason)
            session = await self._next_session(deadline - clock())
        if nothing_done:
            return failure(f"{self.name} cannot be reached at the moment ({reason}); nothing was done")
        return failure(f"no answer from {self.name}, tried {attempts} times ({reason})")

    def _not_known(self, tool: Tool, reason: str) -> ToolResult:
        return failure(
            f"no answer from {self.name} ({reason}): whether {tool.name} had its effect is not known, so it"
            " was not called again"
        )

    @property
    def _call_seconds(self) -> float:
        return self._server.timeout_seconds or self._timing.call_timeout_seconds

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
            call_seconds=self._call_seconds,
            open_transport=self._open_transport,
            mask=self._mask,
            asks=True,
        )

    async def _until_list_is_due(self, session: McpSession) -> bool:
        return await session.until_list_is_due(
            self._timing.list_seconds,
            ping_seconds=self._timing.ping_seconds,
            ping_timeout_seconds=self._timing.ping_timeout_seconds,
        )

    def _publish(self, session: McpSession, listed: Listing) -> None:
        if self._session is None:
            logger.info("MCP server connected server=%s tools=%d", self.name, len(listed.tools))
        self._session = self._opened = session
        self._standing.connected()
        self._attempt.set()
        if listed != self._listed or len(self._made) != len(listed.tools):
            if listed.left_out and listed.left_out != self._listed.left_out:
                logger.warning(
                    "MCP tools left out server=%s tools=%d",
                    self.name,
                    len(listed.left_out),
                )
            self._listed = listed
            self._made = tuple(McpTool.of(self, tool) for tool in listed.tools)
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
            logger.warning("MCP server unavailable server=%s: %s", self.name, error)
        self._standing.unavailable(error)
        self.tools = ()

    async def _pause(self, seconds: float) -> None:
        await asyncio.sleep(min(seconds, _LEAST_PAUSE_SECONDS))
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._nudge.wait()
        self._nudge.clear()


class McpTool(BaseTool):
    """A server's tool, whose arguments arrive as they are, whatever their names are."""

    args_schema: dict[str, Any]
    _connection: McpConnection = PrivateAttr()
    _tool: Tool = PrivateAttr()

    @classmethod
    def of(cls, connection: McpConnection, tool: Tool) -> "McpTool":
        made = cls(
            name=tool_name(connection.name, tool.name),
            description=tool.description or "",
            args_schema=tool.inputSchema,
            metadata=tool.annotations.model_dump() if tool.annotations else None,
        )
        made._connection, made._tool = connection, tool
        return made

    def _to_args_and_kwargs(
        self, tool_input: str | dict[str, Any], tool_call_id: str | None
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        # As one value: LangChain puts things of its own among the keywords, and so would mix them with a server's.
        return (self._parse_input(tool_input, tool_call_id), tool_call_id), {}

    async def _arun(self, arguments: dict[str, Any], call_id: str | None, config: RunnableConfig) -> Any:
        result = await self._connection.call(self._tool, arguments, call_id, config)
        content = content_of(result)
        if call_id is None:
            return content
        return ToolMessage(
            content,
            artifact=artifact_of(result),
            tool_call_id=call_id,
            name=self.name,
            status="error" if result.failed else "success",
        )

    def _run(self, *_: Any, **__: Any) -> Any:
        raise NotImplementedError("tools of MCP servers can only be awaited")
