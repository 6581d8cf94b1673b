"""Routes that answer in the envelope whatever happens, and that see a path the way it was sent."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote, unquote_to_bytes

from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Receive, Scope, Send

from admin_api.errors import respond_to
from groundwork.http.load import ANSWER_SECONDS

# Where a route notes that the path is its own although the method is not; read by the route for the rest.
METHODS_HERE = "admin_api.methods"

_KEPT_IN_A_SEGMENT = "-._~!$&'()*+,;=:@"


class AdminRoute(APIRoute):
    """A route of the admin API, on whichever app it is mounted.

    Errors are answered here, so the app's own exception handlers are never asked. Paths are matched before
    their percent-encoding is undone, so that `a%2Fb` is one segment, and parameters are decoded afterwards.
    `HEAD` is answered wherever `GET` is; the server leaves the body out.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                async with asyncio.timeout(ANSWER_SECONDS):
                    return await handle(request)
            except Exception as error:  # noqa: BLE001 - the edge: everything leaves in the envelope, bugs are logged
                return respond_to(error)

        return answer

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        if scope["type"] != "http":
            return Match.NONE, {}
        match, child = super().matches({**_with_get_for_head(scope), **_paths_as_sent(scope)})
        if match is Match.PARTIAL:
            scope.setdefault(METHODS_HERE, set()).update(self.methods)
        if match is Match.NONE:
            return match, child
        outer = scope.get("path_params", {})
        own = {name: value for name, value in child["path_params"].items() if name not in outer}
        return match, {**child, "path_params": {**outer, **self._decode(own)}}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().handle(_with_get_for_head(scope), receive, send)

    def _decode(self, parameters: dict[str, Any]) -> dict[str, Any]:
        # What is not UTF-8 becomes surrogates, which no thread id may have, instead of somebody else's id.
        return {
            name: unquote(value, errors="surrogateescape") if isinstance(value, str) else value
            for name, value in parameters.items()
        }


class RemainingRoute(AdminRoute):
    """A route for every method, standard or not; comes after all others."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        return super().matches({**scope, "method": "GET"})

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await super().handle({**scope, "method": "GET", ASKED_METHOD: scope["method"]}, receive, send)


ASKED_METHOD = "admin_api.asked_method"


def _with_get_for_head(scope: Scope) -> Scope:
    return {**scope, "method": "GET"} if scope["method"] == "HEAD" else scope


def _paths_as_sent(scope: Scope) -> Scope:
    raw_path = scope.get("raw_path") or b""
    return {
        "path": _as_sent(raw_path, scope["path"]),
        "root_path": quote(scope.get("root_path", ""), safe=_KEPT_IN_A_SEGMENT + "/"),
    }


@lru_cache(maxsize=64)  # each request asks once for every route
def _as_sent(raw_path: bytes, path: str) -> str:
    """The path with its slashes told apart from encoded ones, and everything else encoded in one way only."""
    if unquote(raw_path.decode("latin-1")) != path:  # a middleware has changed the path, and only the path
        raw_path = quote(path).encode()
    segments = raw_path.split(b"/")
    return "/".join(quote(unquote_to_bytes(segment), safe=_KEPT_IN_A_SEGMENT) for segment in segments)
