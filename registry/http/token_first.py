"""Nobody's body is read before it is known that they are let in."""

from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from groundwork.http.hosts import HeaderRefused
from groundwork.http.load import has_body
from groundwork.postgres.pool import DatabaseUnavailable
from registry.errors import Forbidden, Unauthenticated
from registry.http.deps import BEARER, CONSOLE, LOGIN, SESSION_COOKIE, identify, identify_session
from registry.runtime import Registry
from registry.tokens.service import Bearer

_OF_A_BODY = frozenset({b"content-length", b"transfer-encoding"})


class TokenFirst:
    """Gives the app the requests of those who are not let in without their bodies: it refuses them in its own
    words, and what they send takes neither memory nor a place among the requests that are being worked on."""

    def __init__(self, app: ASGIApp, registry: Registry, sheds: Callable[[Scope], bool]) -> None:
        """`sheds` says of which requests it is known already that there is no room for them."""
        self.app = app
        self.registry = registry
        self.sheds = sheds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        # What is refused anyhow is refused at once: looking up its token would wait for a connection.
        if not self.sheds(scope) and (await self._is_let_in(scope) or not has_body(scope)):
            await self.app(scope, receive, send)
            return
        headers = [(name, value) for name, value in scope["headers"] if name not in _OF_A_BODY]
        await self.app({**scope, "headers": headers}, _no_body(), send)

    async def _is_let_in(self, scope: Scope) -> bool:
        path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        if path == LOGIN:
            return True  # the form with the token, which is small
        names_somebody = self.registry.settings.jamjet_dev_mode or "authorization" in Headers(scope=scope)
        is_form = path.startswith(f"{CONSOLE}/") and SESSION_COOKIE in Request(scope).cookies
        if not names_somebody and not is_form:
            return False
        try:
            who = identify if names_somebody else identify_session
            await who(Request(scope), self.registry)
        except (Forbidden, Unauthenticated, HeaderRefused, DatabaseUnavailable):
            return False  # the app finds the same, and says so
        return True


def tenant_of(scope: Scope) -> str | None:
    """Return whose request it is, as far as it is known by its token."""
    bearer: Bearer | None = scope.get(BEARER)
    return None if bearer is None else bearer.principal.tenant_id


def _no_body() -> Receive:
    messages: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        return messages.pop() if messages else {"type": "http.disconnect"}

    return receive
