"""Who calls: nobody in particular, or the user whose token the request carries."""

from starlette.authentication import SimpleUser
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from groundwork.http.bearer import bearer_token
from groundwork.http.hosts import HeaderRefused, OwnHosts
from groundwork.http.known_tokens import KnownTokens

_UNAUTHORIZED = "a bearer token of this agent is needed: Authorization: Bearer <token>"


class CallerTokens:
    """Lets through who has a token of `callers`, under that user's name.

    Without any tokens everybody is let through, without a name, who names this agent: a page of another site would
    read conversations through the browser of somebody on this machine.
    """

    def __init__(self, app: ASGIApp, callers: KnownTokens, own_hosts: OwnHosts) -> None:
        self._app = app
        self._callers = callers
        self._own_hosts = own_hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if not self._callers:
            try:
                self._own_hosts.check(Request(scope))
            except HeaderRefused as refused:
                error = {"code": 403, "status": "PERMISSION_DENIED", "message": str(refused)}
                await JSONResponse({"error": error}, status_code=403)(scope, receive, send)
                return
            await self._app(scope, receive, send)
            return
        user = self._user(bearer_token(scope))
        if user is None:
            error = {"code": 401, "status": "UNAUTHENTICATED", "message": _UNAUTHORIZED}
            refusal = JSONResponse(
                {"error": error}, status_code=401, headers={"WWW-Authenticate": 'Bearer realm="a2a"'}
            )
            await refusal(scope, receive, send)
            return
        await self._app({**scope, "user": SimpleUser(user)}, receive, send)

    def _user(self, token: bytes | None) -> str | None:
        if token is None:
            return None
        return self._callers.find_name(token)
