"""Pages of other origins, as far as they are let in."""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

_NEVER = ("/api/", "/internal/", "/status", "/metrics")
"""What is for operators, whose browsers have no business there from another page."""

_EXPOSED = ("X-Pagination-Total", "X-Pagination-Next", "Content-Location", "Location", "X-Request-Id")


class CrossOrigin:
    """Lets browsers call from pages of `origins`; `*` is every origin."""

    def __init__(self, app: ASGIApp, origins: Sequence[str]) -> None:
        self._app = app
        self._open = CORSMiddleware(
            app,
            allow_origins=list(origins),
            allow_methods=["*"],
            allow_headers=["*"],
            expose_headers=_EXPOSED,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_closed = scope["type"] != "http" or scope["path"].startswith(_NEVER)
        await (self._app if is_closed else self._open)(scope, receive, send)
