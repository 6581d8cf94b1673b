"""HTTP towards servers that are not ours: answers are bounded, and a failure says what became of the request."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx

from groundwork.fetch import FetchFailed, HttpClient, Unreachable, certificates, unpacked
from groundwork.tracing import PLACE, is_on, tell_server

NOT_SENT = -32_901  # the request was not sent, or not to a session that exists: nothing happened
REFUSED = -32_902  # the server answered that it will not: nothing happened, and asking again will not help
LOST = -32_903  # the connection failed with the request on its way: what happened is not known


OpenTransport = Callable[[], httpx.AsyncBaseTransport]


class BoundedClient(HttpClient):
    """Reads at most `longest` bytes of an answer, and raises `httpx.ReadError` where there are more.

    Answers are unpacked here: httpx would unpack whatever it is sent, a piece of it to gigabytes.
    """

    def __init__(self, *, longest: int, open_transport: OpenTransport | None = None, **options: Any) -> None:
        # Only without a transport of its own does httpx heed the proxy settings of the environment.
        transport = open_transport() if open_transport else None
        super().__init__(transport=transport, verify=certificates(), **options)
        self.longest = longest

    async def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        request.headers["Accept-Encoding"] = "gzip"  # what can be unpacked within a bound
        self._tell_place(request)
        response = await super().send(request, stream=True, **options)
        if "content-encoding" in response.headers:
            response = _rebuilt(response, stream=_Unpacked(response, self.longest))
        return response if stream else await _whole(response, self.longest)

    def _tell_place(self, request: httpx.Request) -> None:
        tell_server(request.headers)


class McpHttpClient(BoundedClient):
    """Answers a JSON-RPC request that failed on its way with a JSON-RPC error (`NOT_SENT`, `REFUSED`, `LOST`).

    The MCP library would end the whole session, or leave the caller waiting for its timeout: here a failure
    is told at once, to the one call that it concerns.
    """

    async def send(self, request: httpx.Request, *, stream: bool = False, **options: Any) -> httpx.Response:
        call = _call_id(request)
        if request.method == "DELETE":
            return await self._take_leave(request, stream=stream, **options)
        if call is None:
            request.extensions["timeout"] = httpx.Timeout(5, read=None if request.method == "GET" else 5).as_dict()
            return await self._reach(request, stream=stream, **options)
        try:
            response = await self._reach(request, stream=True, **options)
            if response.status_code >= 400:
                await response.aclose()
                return _refusal(request, call, response)
            if response.headers.get("content-type", "").lower().startswith("text/event-stream"):
                return _rebuilt(response, stream=_AnsweredStream(response, call, self.longest))
            return response if response.is_redirect else await _whole(response, self.longest)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout) as error:
            return _answer(request, _error(call, NOT_SENT, f"cannot connect: {error or type(error).__name__}"))
        except httpx.TransportError as error:
            return _answer(request, _error(call, LOST, str(error) or type(error).__name__))

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
        """Sends it. An address that is refused is one that nothing can be connected to."""
        try:
            return await super().send(request, **options)
        except FetchFailed as error:
            raise httpx.ConnectError(str(error), request=request) from error


class _Unpacked(httpx.AsyncByteStream):
    """The body of an answer that was packed, in pieces of at most `longest` bytes."""

    def __init__(self, response: httpx.Response, longest: int) -> None:
        self._response = response
        self._longest = longest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in unpacked(self._response, self._longest):
                yield chunk
        except Unreachable as error:
            raise httpx.ReadError(str(error), request=self._response.request) from error

    async def aclose(self) -> None:
        await self._response.aclose()


class _AnsweredStream(httpx.AsyncByteStream):
    """The events of an answer; where they end without the answer, an event that says so."""

    def __init__(self, response: httpx.Response, call: int | str, longest: int) -> None:
        self._response = response
        self._call = call
        self._longest = longest

    async def __aiter__(self) -> AsyncIterator[bytes]:
        # Whoever reads stops at the answer, so to get past the last event means that there was none.
        reason = "the connection ended before the answer"
        resumable, read = False, 0
        try:
            async for chunk in self._response.aiter_bytes():
                # A server that numbers its events keeps them: the library asks for the rest by itself.
                resumable = resumable or chunk.startswith(b"id:") or b"\nid:" in chunk
                read += len(chunk)
                if read > self._longest:
                    resumable, reason = False, f"the answer is longer than {self._longest} bytes"
                    break
                yield chunk
        except httpx.TransportError as error:
            reason = str(error) or reason
        if not resumable:
            yield b"\n\nevent: message\ndata: " + _error(self._call, LOST, reason) + b"\n\n"

    async def aclose(self) -> None:
        await self._response.aclose()


def _call_id(request: httpx.Request) -> int | str | None:
    """The id of the JSON-RPC request in the body; `None` for notifications, streams and the end of a session."""
    message = _message(request)
    found = message.get("id") if "method" in message else None
    return found if isinstance(found, int | str) else None


def _message(request: httpx.Request) -> dict[str, Any]:
    """The JSON-RPC message in the body; empty for streams and the end of a session."""
    message: dict[str, Any] = json.loads(request.content) if request.method == "POST" else {}
    return message


def _refusal(request: httpx.Request, call: int | str, response: httpx.Response) -> httpx.Response:
    if response.status_code >= 500:
        code = LOST
    elif response.status_code in (400, 404) and "mcp-session-id" in request.headers:
        code = NOT_SENT  # how servers say that they do not know the session (any more)
    else:
        code = REFUSED
    return _answer(request, _error(call, code, f"answered {response.status_code} {response.reason_phrase}"))


def _error(call: int | str, code: int, message: str) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": call, "error": {"code": code, "message": message}}).encode()


def _answer(request: httpx.Request, content: bytes) -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "application/json"}, content=content, request=request)


async def _whole(response: httpx.Response, longest: int) -> httpx.Response:
    content = bytearray()
    try:
        async for chunk in response.aiter_bytes():
            content += chunk
            if len(content) > longest:
                raise httpx.ReadError(f"the answer is longer than {longest} bytes", request=response.request)
    finally:
        await response.aclose()
    return _rebuilt(response, content=bytes(content))


def _rebuilt(response: httpx.Response, **body: Any) -> httpx.Response:
    # The body is decoded already, and may have another length now.
    described_body = ("content-encoding", "content-length", "transfer-encoding")
    headers = [(name, value) for name, value in response.headers.multi_items() if name not in described_body]
    return httpx.Response(
        response.status_code, headers=headers, request=response.request, extensions=response.extensions, **body
    )
