"""One session with an MCP server, over either transport, and what may become of a call in it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import anyio
import httpx
from mcp import ClientSession, McpError
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.session import RequestResponder
from mcp.types import (
    CONNECTION_CLOSED,
    METHOD_NOT_FOUND,
    CallToolRequest,
    CallToolRequestParams,
    ClientRequest,
    ClientResult,
    ElicitRequest,
    ElicitRequestParams,
    ElicitResult,
    ListToolsRequest,
    PaginatedRequestParams,
    RequestParams,
    ServerNotification,
    ServerRequest,
    Tool,
    ToolListChangedNotification,
)
from pydantic import BaseModel, ConfigDict

from groundwork.outgoing.bounded_http import OpenTransport
from groundwork.outgoing.masking import Mask
from groundwork.outgoing.mcp_http import McpHttpClient
from groundwork.outgoing.mcp_messages import LOST, NOT_SENT, REFUSED, UNREADABLE, CallId
from groundwork.outgoing.mcp_results import ToolResult, read_result
from groundwork.outgoing.mcp_schemas import Listing, read_tools
from groundwork.outgoing.mcp_server import McpServer
from groundwork.outgoing.mcp_stdio import Streams, Waiting, run_server
from groundwork.telemetry.tracing import tell_server

_LONGEST_ANSWER = 16 * 1024 * 1024
_MOST_PAGES = 100
_MOST_QUESTIONS = 5  # in one call at a time

LONGEST_CALL_SECONDS = 3600.0
"""How long progress can keep a call alive that has a shorter time of its own."""

_Message = RequestResponder[ServerRequest, ClientResult] | ServerNotification | Exception

Ask = Callable[[ElicitRequestParams], Awaitable[ElicitResult]]
"""Brings a server's question to whoever the call is made for, and his answer back."""


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


class AnswerUnreadable(OutcomeUnknown):
    """The server answered, and nobody can tell what: asking again would bring the same."""


class _Raw(BaseModel):
    """A result as it came, which is read by ourselves: one part that is wrong spoils only itself."""

    model_config = ConfigDict(extra="allow")

    def fields(self) -> dict[str, Any]:
        return dict(self.model_extra or {})


class _Call:
    """A call that has no answer yet: until when it waits, and whom its server may ask something."""

    def __init__(self, seconds: float, ask: Ask | None) -> None:
        self._clock = asyncio.get_running_loop().time
        self.seconds = seconds
        self._last_moment = self._clock() + max(seconds, LONGEST_CALL_SECONDS)
        self._due_at = self._clock() + seconds
        self._asking = 0
        self._ask = ask

    @property
    def rest(self) -> float:
        """How many seconds are left. While somebody is asked, time stands still."""
        return max(0.0, min(self._due_at, self._last_moment) - self._clock()) if not self._asking else self.seconds

    async def progress(self, progress: float, total: float | None, message: str | None) -> None:
        self._due_at = self._clock() + self.seconds

    async def ask(self, question: ElicitRequestParams) -> ElicitResult:
        if self._ask is None or self._asking == _MOST_QUESTIONS:
            return DECLINED
        self._asking += 1
        began_at = self._clock()
        try:
            return await self._ask(question)
        finally:
            self._asking -= 1
            self._last_moment += self._clock() - began_at
            self._due_at = self._clock() + self.seconds


DECLINED = ElicitResult(action="decline")


class _Client(ClientSession):
    """The library's session, which answers a server's questions beside its other work instead of before it."""

    calls: dict[CallId, _Call]
    pings: set[CallId]
    asker_of: Callable[[CallId], CallId | None]

    @property
    def waiting(self) -> Collection[CallId]:
        """The ids of the requests that have no answer yet."""
        return self._response_streams.keys()

    @property
    def only_one_meant(self) -> CallId | None:
        """The request that an answer without a known id can only be for. A ping is sent beside anything else, and
        is not what a server has trouble to answer."""
        meant = [call for call in self.waiting if call not in self.pings] or [*self.waiting]
        return meant[0] if len(meant) == 1 else None

    @property
    def next_id(self) -> CallId:
        """The id of the request that is sent next; nothing else may be awaited in between."""
        return self._request_id

    async def _received_request(self, responder: RequestResponder[ServerRequest, ClientResult]) -> None:
        if isinstance(responder.request.root, ElicitRequest):
            self._task_group.start_soon(self._ask, responder, responder.request.root.params)
        else:
            await super()._received_request(responder)

    async def _ask(
        self, responder: RequestResponder[ServerRequest, ClientResult], params: ElicitRequestParams
    ) -> None:
        asker = self.asker_of(responder.request_id)
        # A program does not say in which call it asks: only where there is no other can that be known.
        call = self.calls.get(asker) if asker is not None else None
        if call is None and asker is None and len(self.calls) == 1:
            call = next(iter(self.calls.values()))
        with responder:
            answer = DECLINED if call is None else await call.ask(params)
            await responder.respond(ClientResult(answer))


async def _never_asked(context: object, params: ElicitRequestParams) -> ElicitResult:
    """What tells the library that questions are answered; how, `_Client` knows."""
    return DECLINED


class McpSession:
    """An open session. It must be opened and left in one task; its methods may be called from any."""

    client: _Client

    def __init__(self) -> None:
        self._woken = asyncio.Event()
        self._ended = asyncio.Event()
        self._list_changed = False
        self._look_now = False
        self.calls: dict[CallId, _Call] = {}
        self.waiting: Callable[[], Waiting] = lambda: ((), None)

    def end(self) -> None:
        """Says that the session is over: calls in it fail at once, and `watch` returns."""
        self._ended.set()
        self._woken.set()

    async def list_tools(self, timeout: float, *, for_model: bool = True) -> Listing:
        """Return the tools, and why others are left out; none where the server has no tools at all."""
        self._list_changed = False
        listed: list[Any] = []
        cursor: str | None = None
        async with asyncio.timeout(timeout):
            for _ in range(_MOST_PAGES):
                page = await self._page(cursor)
                tools, cursor = page.get("tools"), page.get("nextCursor")
                listed += tools if isinstance(tools, list) else []
                if not isinstance(cursor, str) or not cursor:
                    # In a thread, because a schema takes a millisecond for each kilobyte or so.
                    return await asyncio.to_thread(read_tools, listed, for_model=for_model)
        raise CallRefused(f"the list of tools has more than {_MOST_PAGES} pages")

    async def _page(self, cursor: str | None) -> dict[str, Any]:
        request = ListToolsRequest(params=PaginatedRequestParams(cursor=cursor))
        capabilities = self.client.get_server_capabilities()
        try:
            return (await self.client.send_request(ClientRequest(request), _Raw)).fields()
        except McpError as error:
            without = capabilities is None or capabilities.tools is None
            if error.error.code == METHOD_NOT_FOUND or (without and isinstance(explain(error), CallRefused)):
                return {}
            raise

    async def call(
        self, name: str, arguments: dict[str, Any], timeout: float, ask: Ask | None = None
    ) -> ToolResult:
        """Calls a tool once. Raises one of `CallFailed`.

        Each word of progress gives it as much time again. `ask` brings what the server wants to know in between to
        whoever can answer it; without it, such questions are declined.
        """
        call = _Call(timeout, ask)
        try:
            return read_result((await self._unless_ended(self._send(name, arguments, call), call)).fields())
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise NotCarriedOut("the connection was closed", session_lost=True) from None
        except McpError as error:
            failed = explain(error)
            if isinstance(failed, OutcomeUnknown) and not failed.session_lost:
                self._look_now = True  # whether the server is still there
                self._woken.set()
            raise failed from None

    async def _send(self, name: str, arguments: dict[str, Any], call: _Call) -> _Raw:
        # The request is sent by a task that lives as long as the session, and knows of no call's trace.
        place: dict[str, Any] = {}
        tell_server(place)
        meta = RequestParams.Meta(**place) if place else None
        request = CallToolRequest(params=CallToolRequestParams(name=name, arguments=arguments, _meta=meta))
        call_id = self.client.next_id
        self.calls[call_id] = call
        try:
            return await self.client.send_request(ClientRequest(request), _Raw, progress_callback=call.progress)
        finally:
            del self.calls[call_id]

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
                async with asyncio.timeout(0 if self._look_now else ping_seconds):
                    await self._woken.wait()
            except TimeoutError:
                self._look_now = False
                await self._ping(ping_timeout_seconds)
        return False

    async def on_message(self, message: _Message) -> None:
        if isinstance(message, ServerNotification) and isinstance(message.root, ToolListChangedNotification):
            self._list_changed = True
            self._woken.set()

    async def _ping(self, timeout: float) -> None:
        self.client.pings = {self.client.next_id}
        try:
            async with asyncio.timeout(timeout):
                await self.client.send_ping()
        except TimeoutError:
            # A server that runs one tool at a time answers no ping meanwhile; the call has its own timeout.
            if not self.calls:
                raise TimeoutError("the server does not answer pings") from None
        except (anyio.ClosedResourceError, anyio.BrokenResourceError):
            raise ConnectionError("the connection was closed") from None
        except McpError as error:
            # Any answer of its own, even "no such method", shows that the server is there.
            if error.error.code in (NOT_SENT, REFUSED, LOST, CONNECTION_CLOSED):
                raise

    async def _unless_ended(self, sending: Coroutine[Any, Any, _Raw], call: _Call) -> _Raw:
        calling = asyncio.ensure_future(sending)
        ended = asyncio.ensure_future(self._ended.wait())
        try:
            while call.rest and not calling.done() and not ended.done():
                await asyncio.wait({calling, ended}, timeout=call.rest, return_when=asyncio.FIRST_COMPLETED)
            if calling.done():
                return calling.result()
            if ended.done():
                raise OutcomeUnknown("the connection was lost", session_lost=True)
            raise OutcomeUnknown(f"no answer within {round(call.seconds, 1):g} seconds")
        finally:
            calling.cancel()
            ended.cancel()
            await asyncio.gather(calling, ended, return_exceptions=True)


def explain(error: McpError) -> CallFailed:
    """What an error of the library's means, which may be one that `McpHttpClient` has made."""
    code, message = error.error.code, error.error.message
    if code == NOT_SENT:
        return NotCarriedOut(message, session_lost=True)
    if code == CONNECTION_CLOSED:
        return OutcomeUnknown(message, session_lost=True)
    if code == UNREADABLE:
        return AnswerUnreadable(message)
    if code == LOST:
        return OutcomeUnknown(message)
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
    mask: Mask | None = None,
    asks: bool = False,
) -> AsyncIterator[McpSession]:
    """Connects and says hello. At the end the session is closed: the process is gone, or the server was told.

    `asks` tells the server that questions in the middle of a call are answered.
    """
    session = McpSession()
    async with (
        _connected(session, server, max(call_seconds, open_seconds) + 5, open_transport, mask or Mask()) as (
            (read, write),
            asker_of,
        ),
        _Client(
            read,
            write,
            message_handler=session.on_message,
            elicitation_callback=_never_asked if asks else None,
        ) as session.client,
    ):
        session.client.calls, session.client.asker_of, session.client.pings = session.calls, asker_of, set()
        session.waiting = lambda: (session.client.waiting, session.client.only_one_meant)
        try:
            async with asyncio.timeout(open_seconds):
                await session.client.initialize()
            yield session
        finally:
            session.end()


@asynccontextmanager
async def _connected(
    session: McpSession, server: McpServer, read_seconds: float, open_transport: OpenTransport | None, mask: Mask
) -> AsyncIterator[tuple[Streams, Callable[[CallId], CallId | None]]]:
    """The streams, and what tells in which call a server asked something, where that is known."""
    if server.url is None:
        async with run_server(server, mask, lambda: session.waiting()) as streams:
            yield streams, lambda _: None
        return
    # Without progress, nothing else ends the request of a call that ran into its timeout.
    timeouts = httpx.Timeout(10, read=read_seconds)
    async with (
        McpHttpClient(
            longest=_LONGEST_ANSWER, headers=dict(server.headers), timeout=timeouts, open_transport=open_transport
        ) as http,
        streamable_http_client(server.url, http_client=http) as (read, write, _),
    ):
        yield (read, write), lambda asked: http.askers.pop(asked, None)
