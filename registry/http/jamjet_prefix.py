"""The same API once more under `/jamjet`, for clients that expect what JamJet's own runtime answers.

Its command line reads the events of an execution in another form than its documentation prints. Clients of either
kind send the same requests, so it has to be the address that tells them apart.
"""

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

PREFIX = "/jamjet"


class JamJetPrefix:
    """Serves the app under the prefix too: what comes after it is found as if it were the whole path."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _is_under(scope["path"], scope.get("root_path", "")):
            scope["root_path"] = scope.get("root_path", "") + PREFIX
        await self.app(scope, receive, send)


def expects_jamjets_runtime(request: Request) -> bool:
    """Whether the request came in under the prefix."""
    root_path: str = request.scope.get("root_path", "")
    return root_path.endswith(PREFIX)


def _is_under(path: str, root_path: str) -> bool:
    prefix = root_path + PREFIX
    return path == prefix or path.startswith(prefix + "/")
