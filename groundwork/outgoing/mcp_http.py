"""HTTP towards MCP servers: each request has an answer of its own, or an error that says what became of it."""

import json
import logging
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx

from groundwork.outgoing.bounded_http import BoundedClient, OpenTransport, rebuilt, whole
from groundwork.outgoing.fetch import FetchFailed
from groundwork.outgoing.lines import LineReader
from groundwork.outgoing.masking import mask_url
from groundwork.outgoing.mcp_messages import (
    LOST,
    NOT_SENT,
    REFUSED,
    UNREADABLE,
    CallId,
    Unreadable,
    answer_of,
    error_answer,
    is_answer,
    is_known,
    messages_in,
    unreadable,
)
from groundwork.telemetry.tracing import PLACE, is_on

logger = logging.getLogger(__name__)

_MOST_REDIRECTS = 3
_SESSION = "mcp-session-id"
_LAST_EVENT = "last-event-id"
_EVENT_STREAM = "text/event-stream"


class McpHttpClient(BoundedClient):
    """A client that answers a JSON-RPC request that failed, or whose answer cannot be read, with a JSON-RPC error.

    The MCP library would end the whole session, or leave the caller waiting for its timeout: here a failure
    is told at once, to the one call that it concerns. `askers` says in answer to which call a server's own request
    came.
    """

    def __init__(self, *, longest: int, open_transport: OpenTransport | None = None, **options: Any) -> None:
        super().__init__(longest=longest, open_transport=open_transport, **options)
        self.askers: dict[CallId, CallId] = {}

    async def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        await request.aread()  # a redirected request comes with a body that nobody has read yet
        call = _call_id(request)
        if request.method == "DELETE":
            return await self._take_leave(request, stream=stream, **options)
        if call is None:
            return await self._send_one_way(request, stream=stream, **options)
        try:
            return await self._answered(request, call, await self._reach(request, stream=True, **options))
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return _answer(
                request, error_answer(call, NOT_SENT, f"cannot connect: {error or type(error).__name__}")
            )
        except httpx.TransportError as error:
            return _answer(request, error_answer(call, LOST, str(error) or type(error).__name__))

    async def _answered(self, request: httpx.Request, call: CallId, response: httpx.Response) -> httpx.Response:
        if response.is_redirect or response.status_code >= 400:
            await response.aclose()
            return _answer(request, _refusal(request, call, response))
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if kind == _EVENT_STREAM:
            return rebuilt(response, stream=_Events(response, self, call))
        content = (await whole(response, self.longest)).content
        try:
            if response.status_code == httpx.codes.ACCEPTED and not content.strip():
                raise Unreadable("there is none, only 202 Accepted")
            answer = _the_answer_in(content, call)
        except Unreadable as error:
            answer = unreadable(call, f"{error} ({response.status_code}, {kind or 'of no content type'})")
        return _answer(request, answer, response)

    async def _send_one_way(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send what has no answer, or open a stream. What the server makes of a notification ends no session."""
        get = request.method == "GET"
        request.extensions["timeout"] = httpx.Timeout(5, read=None if get else 5).as_dict()
        response = await self._reach(request, **options)
        if not get:
            await response.aclose()
            return httpx.Response(httpx.codes.ACCEPTED, request=request)
        resumed = _LAST_EVENT in request.headers
        if not response.is_success and resumed:
            await response.aclose()
            failed = error_answer(
                0, UNREADABLE, f"the answer broke off, and its rest is not there: {_said(response)}"
            )
            head = {"content-type": _EVENT_STREAM}
            return httpx.Response(httpx.codes.OK, headers=head, content=_event(failed), request=request)
        if not response.is_success:
            return response
        return rebuilt(response, stream=_Events(response, self, None, resumed=resumed))

    async def _take_leave(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Ends the session, if the server is still there to hear it."""
        request.extensions["timeout"] = httpx.Timeout(1).as_dict()
        try:
            return await self._reach(request, **options)
        except httpx.TransportError:
            return httpx.Response(204, request=request)

    def _tell_place(self, request: httpx.Request) -> None:
        """A call says in its `_meta` where it belongs, under the names of the headers."""
        super()._tell_place(request)
        if is_on():
            meta = (_message(request).get("params") or {}).get("_meta") or {}
            request.headers.update({name: meta[name] for name in PLACE if name in meta})

    async def _reach(self, request: httpx.Request, **options: Any) -> httpx.Response:
        """Send it, and again where it is redirected within the origin: its headers are for nobody else.

        An address that is refused is one that nothing can be connected to.
        """
        try:
            for _ in range(_MOST_REDIRECTS):
                response = await super().send(request, **options)
                following = response.next_request
                if following is None or not _same_place(request, following):
                    return response
                await response.aclose()
                following.extensions = request.extensions
                request = following
                await request.aread()
            return await super().send(request, **options)
        except FetchFailed as error:
            raise httpx.ConnectError(str(error), request=request) from error


class _Events(httpx.AsyncByteStream):
    """The events of a stream that say something; a call whose answer is not among them gets one that says so."""

    def __init__(
        self, response: httpx.Response, client: McpHttpClient, call: CallId | None, *, resumed: bool = False
    ) -> None:
        self._response = response
        self._client = client
        self._call = call
        self._resumed = resumed
        self._numbered = False
        self._came = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        reason, code = "the stream ended before the answer", UNREADABLE
        try:
            async for block in self._blocks():
                for event in self._read(block):
                    yield event
        except Unreadable as error:
            reason, self._numbered = str(error), False
            logger.debug("MCP event unreadable: %s", error)
        except httpx.TransportError as error:
            reason, code = str(error) or reason, LOST
        # Who reads stops at the answer, so to come here means that there was none. A server that numbers its
        # events keeps them: the library asks for the rest by itself, as long as something comes of it.
        if self._call is not None and not self._numbered:
            yield _event(error_answer(self._call, code, reason))
        elif self._resumed and not self._came:
            yield _event(error_answer(0, code, reason))

    async def aclose(self) -> None:
        await self._response.aclose()

    async def _blocks(self) -> AsyncIterator[list[bytes]]:
        """Yield the lines of each event. Raises `Unreadable` for one that is too long."""
        lines, block, size = LineReader(self._client.longest), list[bytes](), 0
        async for chunk in self._response.aiter_bytes():
            for line in lines.feed(chunk):
                size += len(line)
                if lines.too_long or size > lines.longest:
                    raise self._too_long()
                if line:
                    block.append(line)
                elif block:
                    yield block
                    block, size = [], 0
            if lines.too_long:
                raise self._too_long()

    def _too_long(self) -> Unreadable:
        return Unreadable(f"the answer is longer than {self._client.longest} bytes")

    def _read(self, block: list[bytes]) -> Iterator[bytes]:
        """Yield what is of use in an event. Raises `Unreadable` for a call's event that is none of MCP's."""
        data: list[bytes] = []
        kept: list[bytes] = []
        for line in block:
            name, _, value = line.partition(b":")
            value = value.removeprefix(b" ")
            if name == b"data":
                data.append(value)
            elif name == b"event" and value != b"message":
                return
            elif name in (b"id", b"retry"):
                self._numbered = self._numbered or name == b"id"
                kept.append(line)
        self._came += 1
        # An event without data only gives the number from which to go on.
        content = b"\n".join(data)
        messages = list(self._usable(content)) if content else []
        if not messages and kept:
            yield _event(None, kept)
        for message in messages:
            yield _event(message, kept)

    def _usable(self, content: bytes) -> Iterator[dict[str, Any]]:
        try:
            messages = messages_in(content)
        except Unreadable as error:
            if self._call is not None:
                raise Unreadable(f"the answer cannot be read: {error}") from None
            return  # said into the open, it is nobody's answer
        for message in messages:
            if not is_answer(message):
                if is_known(message):
                    if message["method"] == "elicitation/create" and self._call is not None:
                        self._client.askers[message["id"]] = self._call
                    yield message
            elif self._call is not None:
                try:
                    yield answer_of(message, self._call)
                except Unreadable as error:
                    yield unreadable(self._call, error)
            elif isinstance(message.get("id"), int | str):
                try:
                    yield answer_of(message, message["id"])
                except Unreadable as error:
                    yield unreadable(message["id"], error)


def _the_answer_in(content: bytes, call: CallId) -> dict[str, Any]:
    """Return the answer to the call. Raises `Unreadable`."""
    answers = [message for message in messages_in(content) if is_answer(message)]
    if not answers:
        raise Unreadable("it is JSON, but no answer")
    own = [answer for answer in answers if str(answer.get("id")) == str(call)]
    return answer_of((own or answers)[0], call)


def _call_id(request: httpx.Request) -> CallId | None:
    """The id of the JSON-RPC request in the body; `None` for notifications, streams and the end of a session."""
    message = _message(request)
    found = message.get("id") if "method" in message else None
    return found if isinstance(found, int | str) else None


def _message(request: httpx.Request) -> dict[str, Any]:
    """The JSON-RPC message in the body; empty for streams and the end of a session."""
    message: dict[str, Any] = json.loads(request.content) if request.method == "POST" else {}
    return message


def _same_place(request: httpx.Request, following: httpx.Request) -> bool:
    """Whether a redirect leads to the origin that the headers are for, and keeps the message."""
    here, there = request.url, following.url
    origins = {(url.scheme, url.host, url.port, url.userinfo) for url in (here, there)}
    return len(origins) == 1 and following.method == request.method


def _refusal(request: httpx.Request, call: CallId, response: httpx.Response) -> dict[str, Any]:
    if response.status_code >= 500:
        code = LOST
    elif response.status_code in (400, 404) and _SESSION in request.headers:
        code = NOT_SENT  # how servers say that they do not know the session (any more)
    else:
        code = REFUSED
    return error_answer(call, code, _said(response))


def _said(response: httpx.Response) -> str:
    if (following := response.next_request) is not None:
        target = mask_url(str(following.url))
        return f"redirects to {target}, which is not followed; use that URL if it is the server that is meant"
    return f"answered {response.status_code} {response.reason_phrase}"


def _answer(
    request: httpx.Request, message: dict[str, Any], response: httpx.Response | None = None
) -> httpx.Response:
    headers = {"content-type": "application/json"}
    if response is not None and _SESSION in response.headers:
        headers[_SESSION] = response.headers[_SESSION]
    return httpx.Response(200, headers=headers, content=json.dumps(message).encode(), request=request)


def _event(message: dict[str, Any] | None, kept: list[bytes] | None = None) -> bytes:
    data = b"" if message is None else json.dumps(message).encode()
    return b"\n".join([*(kept or []), b"event: message", b"data: " + data, b"", b""])
