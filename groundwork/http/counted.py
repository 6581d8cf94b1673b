"""Counts requests by route, status and time."""

import time
from collections.abc import Callable

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from groundwork.telemetry.tracing import route_of

Count = Callable[[str, str, int, float], None]
"""Told of a request's method, its route's pattern, its status, and how many seconds it took."""

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_NO_ROUTE = "(none)"


class Counted:
    """Tells `count` of each request once it is over. It is told the pattern of the route and not the path: ids
    would make a series each."""

    def __init__(self, app: ASGIApp, count: Count) -> None:
        self.app = app
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        status, started = 500, time.monotonic()

        async def send_and_see(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self.app(scope, receive, send_and_see)
        finally:
            route = str(scope.get("route_path") or route_of(scope) or _NO_ROUTE)
            method = scope["method"] if scope["method"] in _METHODS else "(other)"
            self._count(method, route, status, time.monotonic() - started)
