"""What stands between the server and an application: a name for each request, a bound on its body, and HEAD."""

import asyncio
import re
import secrets
from collections.abc import Callable
from contextlib import suppress

from starlette.datastructures import MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from groundwork.bounds import BODIES_BYTES
from groundwork.telemetry.logs import request_id

LINGER_SECONDS = 5.0
LINGER_BYTES = 64 * 1024 * 1024

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")


class RequestId:
    """Gives each request an id, the caller's own (`X-Request-Id`) where it is sane, shown in the answer's header
    and in the log. Put it outermost, so that the answer to a crash has it too."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        name = _sane_id(scope) or secrets.token_hex(16)

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message)["X-Request-Id"] = name
            await send(message)

        before = request_id.set(name)
        await self.app(scope, receive, send_with_id)
        # Not when the application has raised: the server's own line about that is still to come.
        request_id.reset(before)


def _sane_id(scope: Scope) -> str | None:
    given = [value for key, value in scope["headers"] if key == b"x-request-id"]
    return given[0].decode("ascii") if len(given) == 1 and _REQUEST_ID.fullmatch(given[0]) else None


class HeadAsGet:
    """Answers `HEAD` wherever `GET` is answered, in the same way; the server leaves the body out."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_head = scope["type"] == "http" and scope["method"] == "HEAD"
        # A copy: the server's own says that no body is to be sent.
        await self.app({**scope, "method": "GET"} if is_head else scope, receive, send)


class BodyTotal:
    """The bytes of bodies that are held at a time by all requests of a process."""

    def __init__(self, most: int = BODIES_BYTES) -> None:
        self.most = most
        self.held = 0


class BodyLimit:
    """Bounds request bodies without holding them: one that says it is too long is refused at once, one that
    turns out to be is cut off there, and the application sees the client go away.

    `limit_for` gives the bound in bytes for a request, `refuse` the answer (413) for one that exceeds it. When the
    application has begun to answer before the body became too long, the connection is closed instead. A body for
    which all bodies together leave no room is answered by `refuse_for_now` (503).
    """

    def __init__(
        self,
        app: ASGIApp,
        limit_for: Callable[[Scope], int],
        refuse: Callable[[Scope, int], Response],
        total: BodyTotal,
        refuse_for_now: Callable[[Scope], Response],
    ) -> None:
        self.app = app
        self.limit_for = limit_for
        self.refuse = refuse
        self.total = total
        self.refuse_for_now = refuse_for_now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = self.limit_for(scope)
        exchange = _Exchange(receive, send, limit, self.total)
        exchange.too_long = _announced_length(scope) > limit
        try:
            if not exchange.too_long:
                await self.app(scope, exchange.receive, exchange.send)
        except ClientDisconnect:
            if not exchange.too_long:
                raise
        finally:
            exchange.release()
            if exchange.too_long and not exchange.answering:
                response = self.refuse_for_now(scope) if exchange.no_room else self.refuse(scope, limit)
                response.headers["Connection"] = "close"
                await response(scope, receive, _Lingering(receive, send))


class _Lingering:
    """Sends an answer whole, and before it ends the exchange reads on for a while, for nothing: a connection that
    is closed on a client in the middle of its body takes the answer with it."""

    def __init__(self, receive: Receive, send: Send) -> None:
        self._receive = receive
        self._send = send

    async def __call__(self, message: Message) -> None:
        if message["type"] != "http.response.body" or message.get("more_body"):
            await self._send(message)
            return
        await self._send({**message, "more_body": True})
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                await self._read_on()
        await self._send({"type": "http.response.body"})

    async def _read_on(self) -> None:
        left = LINGER_BYTES
        while left > 0:
            message = await self._receive()
            if message["type"] != "http.request" or not message.get("more_body"):
                return
            left -= len(message["body"])


class _Exchange:
    """One request and its answer, as far as the application is let to see and to send."""

    def __init__(self, receive: Receive, send: Send, limit: int, total: BodyTotal) -> None:
        self._receive = receive
        self._send = send
        self._left = limit
        self._total = total
        self._held = 0
        self.too_long = False
        self.no_room = False
        self.answering = False

    async def receive(self) -> Message:
        if self.too_long:
            return {"type": "http.disconnect"}
        message = await self._receive()
        if message["type"] == "http.request":
            size = len(message.get("body", b""))
            self._left -= size
            self._held += size
            self._total.held += size
            self.no_room = self._total.held > self._total.most
            if self._left < 0 or self.no_room:
                self.too_long = True
                return {"type": "http.disconnect"}
        return message

    def release(self) -> None:
        """Give back what the body took."""
        self._total.held -= self._held

    async def send(self, message: Message) -> None:
        if self.too_long and not self.answering:
            return  # what the application makes of a client that seems gone is of no interest to the client
        self.answering = True
        await self._send(message)


def _announced_length(scope: Scope) -> int:
    lengths = [value for key, value in scope["headers"] if key == b"content-length"]
    return max((int(value) for value in lengths if value.isdigit()), default=0)
