"""Which error leaves with which status, as `{"error": text}`; the only place of the registry that knows."""

import logging
from collections.abc import Mapping
from uuid import uuid4

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Match
from starlette.types import Scope

from groundwork.http.hosts import HeaderRefused
from groundwork.http.json_body import to_json
from groundwork.http.load import Busy
from groundwork.postgres.pool import DatabaseUnavailable
from groundwork.telemetry.logs import request_id as current_request_id
from registry.errors import (
    AgentAway,
    AgentTimedOut,
    AgentUnreachable,
    AlreadyDecided,
    Conflict,
    Forbidden,
    Gone,
    InvalidRequest,
    LimitReached,
    NotFound,
    PayloadTooLarge,
    Unauthenticated,
)

logger = logging.getLogger(__name__)

# The status, and what the text begins with.
ANSWERS: dict[type[Exception], tuple[int, str]] = {
    Exception: (500, "internal error: "),
    DatabaseUnavailable: (503, "unavailable: "),
    Busy: (503, "unavailable: "),
    TimeoutError: (503, "unavailable: "),
    InvalidRequest: (400, "bad request: "),
    Unauthenticated: (401, ""),
    Forbidden: (403, ""),
    HeaderRefused: (403, "forbidden: "),
    NotFound: (404, "not found: "),
    Conflict: (409, "conflict: "),
    Gone: (410, "gone: "),
    PayloadTooLarge: (413, "payload too large: "),
    LimitReached: (429, "limit reached: "),
    AgentUnreachable: (502, "bad gateway: "),
    AgentAway: (503, "unavailable: "),
    AgentTimedOut: (504, "gateway timeout: "),
}

_HEADERS: dict[type[Exception], Mapping[str, str]] = {
    Unauthenticated: {"WWW-Authenticate": 'Bearer realm="registry"'},
    DatabaseUnavailable: {"Retry-After": "1"},
    LimitReached: {"Retry-After": "60"},
    Busy: Busy.headers,
    TimeoutError: {"Retry-After": "1"},
    AgentAway: {"Retry-After": "5"},
}


class JsonResponse(Response):
    """JSON that no cache keeps."""

    media_type = "application/json"

    def __init__(self, content: object, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(content, status_code, {"Cache-Control": "no-store", **(headers or {})})

    def render(self, content: object) -> bytes:
        return to_json(content)


def add_error_handlers(app: FastAPI) -> None:
    """Makes every answer to a request that fails JSON of one shape, unknown routes and crashes included."""
    for kind in ANSWERS:
        app.add_exception_handler(kind, _respond)
    app.add_exception_handler(HTTPException, _respond_to_http)


def respond_to(error: Exception) -> JsonResponse:
    """The answer to a request that raised `error`. What is our fault is logged and told only by a request id."""
    kind = _listed(type(error))
    status, prefix = ANSWERS[kind]
    headers = _HEADERS.get(kind)
    if status < 500 or issubclass(kind, AgentUnreachable):
        return JsonResponse({"error": f"{prefix}{error}", **_beside(error)}, status, headers)
    request_id = current_request_id.get() or uuid4().hex
    if kind is Busy:  # not worth a line in the log for each
        text = str(error)
    elif kind in (DatabaseUnavailable, TimeoutError):
        logger.warning("request not answered request_id=%s: %s", request_id, str(error) or "it took too long")
        text = "the database cannot be reached at the moment; try again"
    else:
        logger.error("request crashed request_id=%s", request_id, exc_info=error)
        text = "the registry's log tells more under this request id"
    return JsonResponse({"error": f"{prefix}{text}", "request_id": request_id}, status, headers)


def _beside(error: Exception) -> Mapping[str, str]:
    """What programs look for beside the text."""
    if isinstance(error, AlreadyDecided) and error.decided_by:
        return {"decided_by": error.decided_by}
    return {}


def refuse_body(scope: Scope, limit: int) -> Response:
    """The answer to a body that is too large, for `groundwork.http.asgi.BodyLimit`."""
    return respond_to(PayloadTooLarge(limit))


def status_of(error: type[Exception]) -> int:
    return ANSWERS[_listed(error)][0]


def _listed(error: type[Exception]) -> type[Exception]:
    return next(kind for kind in error.__mro__ if kind in ANSWERS)


async def _respond(request: Request, error: Exception) -> Response:
    return respond_to(error)


async def _respond_to_http(request: Request, error: Exception) -> Response:
    """What the framework itself refuses: a path or a method that is not there."""
    assert isinstance(error, HTTPException)
    headers = error.headers
    if error.status_code == 404:
        text = f"not found: there is no {request.url.path}"
    elif error.status_code == 405:
        text = f"method not allowed: {request.method} is not possible here"
        headers = {"Allow": ", ".join(_methods_at(request))}
    else:
        text = str(error.detail)
    return JsonResponse({"error": text}, error.status_code, headers)


def _methods_at(request: Request) -> list[str]:
    """What is possible at the path. The framework names the methods of the first route there, not the others'."""
    routes = request.app.routes
    methods = [
        method
        for method in ("DELETE", "GET", "PATCH", "POST", "PUT")
        if any(route.matches({**request.scope, "method": method})[0] is Match.FULL for route in routes)
    ]
    return [*methods, "HEAD"] if "GET" in methods else methods
