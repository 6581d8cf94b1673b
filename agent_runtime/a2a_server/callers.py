"""Who calls: nobody in particular, or the user whose token the request carries."""

import hmac
from collections.abc import Mapping

from starlette.authentication import SimpleUser
from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_UNAUTHORIZED = "a bearer token of this agent is needed: Authorization: Bearer <token>"


class CallerTokens:
    """Lets through who has a token of `callers` (token to user), under that user's name.

    Without any tokens everybody is let through, without a name.
    """

    def __init__(self, app: ASGIApp, callers: Mapping[str, str]) -> None:
        self._app = app
        self._callers = [(token.encode(), user) for token, user in callers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not self._callers:
            await self._app(scope, receive, send)
            return
        user = self._user(Headers(scope=scope).get("authorization", ""))
        if user is None:
            error = {"code": 401, "status": "UNAUTHENTICATED", "message": _UNAUTHORIZED}
            refusal = JSONResponse(
                {"error": error}, status_code=401, headers={"WWW-Authenticate": 'Bearer realm="a2a"'}
            )
            await refusal(scope, receive, send)
            return
        await self._app({**scope, "user": SimpleUser(user)}, receive, send)

    def _user(self, header: str) -> str | None:
        scheme, _, given = header.partition(" ")
        if scheme.lower() != "bearer":
            return None
        # Header values arrive as latin-1, and tokens may be any text. Every token is compared, so that the
        # time says nothing about which one came close.
        token = given.strip().encode("latin-1")
        found = [user for known, user in self._callers if hmac.compare_digest(known, token)]
        return found[0] if found else None
