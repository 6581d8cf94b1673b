"""One session with an MCP server, over either transport, and what may become of a call in it."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp import ClientSession, McpError, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.message import SessionMessage
from mcp.shared.session import RequestResponder
from mcp.types import (
    CONNECTION_CLOSED,
    CallToolResult,
    ClientResult,
    PaginatedRequestParams,
    ServerNotification,
    ServerRequest,
    Tool,
    ToolListChangedNotification,
)
from pydantic import ValidationError

from groundwork.bounded_http import LOST, NOT_SENT, REFUSED, McpHttpClient, OpenTransport
from groundwork.mcp_server import McpServer
from groundwork.tracing import tell_server

_LONGEST_ANSWER = 16 * 1024 * 1024
_MOST_PAGES = 100

_Streams = tuple[MemoryObjectReceiveStream[SessionMessage | Exception], MemoryObjectSendStream[SessionMessage]]
_Message = RequestResponder[ServerRequest, ClientResult] | ServerNotification | Exception


class CallFailed(Exception):
    """A call that brought no result. `session_lost` says that no later one will either."""

    def __init__(self, message: str, *, session_lost: bool = False) -> None:
        super().__init__(message)
        self.session_lost = session_lost


class NotCarriedOut(CallFailed):
    """The call reached no server that would act on it: nothing happened."""


class OutcomeUnknown(CallFailed):
    """The call was sent and no answer came: it may or may not have had its effect."""


class CallRefused(CallFailed):
    """The server answered, and not with a result."""


class McpSession:
    """An open session. It must be opened and left in one task; its methods may be called from any."""

    client: ClientSession

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._ended = asyncio.Event()
        self._list_changed = False
        self._calls = 0

    def end(self) -> None:
        """Says that the session is over: calls in it fail at once, and `watch` returns."""
        self._ended.set()
        self._woken.set()

    async def list_tools(self, timeout: float) -> list[Tool]:
        self._list_changed = False
        tools: list[Tool] = []
        cursor: str | None = None
        async with asyncio.timeout(timeout):
            for _ in range(_MOST_PAGES):
                page = await self.client.list_tools(params=PaginatedRequestParams(cursor=cursor))
                tools += page.tools
                cursor = page.nextCursor
                if not cursor:
                    return tools
        raise CallRefused(f"the list of tools has more than {_MOST_PAGES} pages")

    async def call(self, name: str, arguments: dict[str, Any], timeout: float) -> CallToolResult:
        """Calls a tool once. Raises one of `CallFailed`."""
        self._calls += 1
        # The request is sent by a task that lives as long as the session, and knows of no call's trace.
        place: dict[str, Any] = {}
        tell_server(place)
        try:
            return await self._unless_ended(
                self.client.call_tool(
                    name, arguments, read_timeout_seconds=timedelta(seconds=timeout), meta=place or None
                )
            )
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise NotCarriedOut("the connection was closed", session_lost=True) from None
        except McpError as error:
            raise explain(error) from None
        except (RuntimeError, ValidationError) as error:
            # What the MCP library raises for a result that does not keep to the tool's own schema.
            raise CallRefused(f"it was carried out, but its result is not what it declares: {error}") from error
        finally:
            self._calls -= 1

    async def until_list_is_due(
        self, list_seconds: float, *, ping_seconds: float, ping_timeout_seconds: float
    ) -> bool:
        """Pings the server until its tools should be listed again; false when the session was ended.

        Raises when the server is gone.
        """
        clock = asyncio.get_running_loop().time
        due_at = clock() + list_seconds
        while not self._ended.is_set():
            if self._list_changed or clock() >= due_at:
                return True
            self._woken.clear()
            try:
                async with asyncio.timeout(ping_seconds):
                    await self._woken.wait()
            except TimeoutError:
                await self._ping(ping_timeout_seconds)
        return False

    async def on_message(self, message: _Message) -> None:
        if isinstance(message, ServerNotification) and isinstance(message.root, ToolListChangedNotification):
            self._list_changed = True
            self._woken.set()

    async def _ping(self, timeout: float) -> None:
        try:
            async with asyncio.timeout(timeout):
                await self.client.send_ping()
        except TimeoutError:
            # A server that runs one tool at a time answers no ping meanwhile; the call has its own timeout.
            if not self._calls:
                raise TimeoutError("the server does not answer pings") from None
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise ConnectionError("the connection was closed") from None
        except McpError as error:
            # Any answer of its own, even "no such method", shows that the server is there.
            if explain(error).session_lost or error.error.code == REFUSED:
                raise

    async def _unless_ended(self, call: Coroutine[Any, Any, CallToolResult]) -> CallToolResult:
        calling = asyncio.ensure_future(call)
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            await asyncio.wait({calling, ended}, return_when=asyncio.FIRST_COMPLETED)
            if calling.done():
                return calling.result()
            raise OutcomeUnknown("the connection was lost", session_lost=True)
        finally:
            calling.cancel()
            ended.cancel()
            await asyncio.gather(calling, ended, return_exceptions=True)


def explain(error: McpError) -> CallFailed:
    """What an error of the library's means, which may be one that `McpHttpClient` has made."""
    code, message = error.error.code, error.error.message
    if code == NOT_SENT:
        return NotCarriedOut(message, session_lost=True)
    if code in (LOST, CONNECTION_CLOSED):
        return OutcomeUnknown(message, session_lost=True)
    if code == httpx.codes.REQUEST_TIMEOUT:
        return OutcomeUnknown("no answer in time")
    return CallRefused(message)


def may_be_repeated(tool: Tool) -> bool:
    """Whether the tool says of itself that to call it twice is no worse than once."""
    hints = tool.annotations
    return hints is not None and bool(hints.readOnlyHint or hints.idempotentHint)


@asynccontextmanager
async def open_session(
    server: McpServer,
    *,
    open_seconds: float,
    call_seconds: float,
    open_transport: OpenTransport | None = None,
) -> AsyncIterator[McpSession]:
    """Connects and says hello. At the end the session is closed: the process is gone, or the server was told.

    No call takes longer than `call_seconds`.
    """
    session = McpSession()
    async with (
        _connected(server, max(call_seconds, open_seconds) + 5, open_transport) as (read, write),
        ClientSession(read, write, message_handler=session.on_message) as session.client,
    ):
        try:
            async with asyncio.timeout(open_seconds):
                await session.client.initialize()
            yield session
        finally:
            session.end()


@asynccontextmanager
async def _connected(
    server: McpServer, read_seconds: float, open_transport: OpenTransport | None
) -> AsyncIterator[_Streams]:
    if server.url is None:
        assert server.command is not None, "a server has a url or a command"
        parameters = StdioServerParameters(
            command=server.command, args=list(server.args), env=_child_environment(server.env), cwd=server.cwd
        )
        async with stdio_client(parameters) as streams:
            yield streams
        return
    # The library leaves the request of a call that ran into its timeout open: the HTTP timeout ends it.
    timeouts = httpx.Timeout(10, read=read_seconds)
    async with (
        McpHttpClient(
            longest=_LONGEST_ANSWER, headers=dict(server.headers), timeout=timeouts, open_transport=open_transport
        ) as http,
        streamable_http_client(server.url, http_client=http) as (read, write, _),
    ):
        yield read, write


def _child_environment(given: Mapping[str, str]) -> dict[str, str]:
    """`python` means the interpreter that we run in ourselves, whether or not its venv is activated."""
    own = str(Path(sys.executable).parent)
    return {"PATH": os.pathsep.join([own, os.environ.get("PATH", os.defpath)]), **given}
