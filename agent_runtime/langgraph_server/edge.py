"""Where requests of LangGraph's clients come in, and errors leave in their shape: `{"detail": "…"}`."""

import logging
from collections.abc import Callable, Coroutine, Iterable
from typing import Any, TypeVar

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from agent_runtime.errors import (
    AgentBusy,
    AgentError,
    AgentPaused,
    AgentStopping,
    BudgetSpent,
    CallerBusy,
    GraphNotFound,
    InvalidValue,
    KeyOfAnotherMessage,
    RunNotFound,
    ThreadBusy,
    ThreadError,
    ThreadExists,
    ThreadNotFound,
    ThreadNotOurs,
    ThreadOfAnotherCaller,
)
from agent_runtime.turns.stream_frames import encoded
from groundwork.http.asgi import BodyTotal
from groundwork.http.bearer import bearer_token
from groundwork.http.hosts import HeaderRefused, OwnHosts
from groundwork.http.json_body import BadJson, parse_json
from groundwork.http.known_tokens import KnownTokens
from groundwork.http.load import RETRY_SECONDS, Busy
from groundwork.postgres.pool import DatabaseUnavailable

logger = logging.getLogger(__name__)

Model = TypeVar("Model", bound=BaseModel)

ANSWERS: dict[type[Exception], int] = {
    Exception: 500,
    DatabaseUnavailable: 503,
    Busy: 503,
    AgentError: 500,
    InvalidValue: 422,
    HeaderRefused: 403,
    AgentBusy: 503,
    AgentPaused: 503,
    AgentStopping: 503,
    BudgetSpent: 429,
    CallerBusy: 429,
    GraphNotFound: 422,
    KeyOfAnotherMessage: 409,
    RunNotFound: 404,
    ThreadError: 409,
    ThreadBusy: 409,
    ThreadExists: 409,
    ThreadNotFound: 404,
    # Nobody is told that somebody else has a thread of that name; it can be neither read nor made.
    ThreadNotOurs: 404,
    ThreadOfAnotherCaller: 404,
}

# A web form can send these to any site without asking it first.
_SENT_BY_FORMS = frozenset({"application/x-www-form-urlencoded", "multipart/form-data", "text/plain"})

_UNAUTHORIZED = "a token of this agent is needed: x-api-key, or Authorization: Bearer"


class Refused(Exception):
    """A request that is refused before the agent is asked anything."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


class ClientRoute(APIRoute):
    """A route whose errors are answered here: the app's own handlers are never asked."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle = super().get_route_handler()

        async def answer(request: Request) -> Response:
            try:
                if "\x00" in request.scope["path"]:  # no row has such an id, and PostgreSQL takes none
                    raise Refused(404, "nothing here has a NUL character in its name")
                return await handle(request)
            except Exception as error:  # noqa: BLE001 - the edge: everything leaves in this shape, bugs are logged
                return answer_to(error)

        return answer


def json_answer(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Return the value as JSON, whatever it is made of."""
    return Response(encoded(value), status, headers, "application/json")


def json_list(items: Iterable[str], headers: dict[str, str] | None = None) -> Response:
    """Return what is JSON already as one list."""
    return Response(f"[{','.join(items)}]", 200, headers, "application/json")


def answer_to(error: Exception) -> Response:
    """Return the answer to a request that raised `error`. What is our fault is logged, and its text kept."""
    if isinstance(error, Refused):
        return _detail(error.status, str(error))
    if isinstance(error, HTTPException):
        return _detail(error.status_code, str(error.detail))
    if isinstance(error, RequestValidationError):
        return _detail(422, _problems(error.errors()))
    if isinstance(error, ThreadNotFound | ThreadNotOurs | ThreadOfAnotherCaller):
        return _detail(404, f"Thread with ID {error.thread_id} not found")
    status = next(ANSWERS[kind] for kind in type(error).__mro__ if kind in ANSWERS)
    if status == 503:
        text = (
            "the database cannot be reached at the moment"
            if isinstance(error, DatabaseUnavailable)
            else str(error)
        )
        return _detail(503, text, {"Retry-After": str(RETRY_SECONDS)})
    if status == 429:
        seconds = error.retry_seconds if isinstance(error, BudgetSpent) else RETRY_SECONDS
        return _detail(429, str(error), {"Retry-After": str(seconds)})
    if status == 500:
        logger.error("LangGraph call crashed", exc_info=error)
        return _detail(500, "something went wrong inside; the agent's log tells more")
    return _detail(status, str(error))


def caller_of(request: Request, known: KnownTokens, own_hosts: OwnHosts) -> str:
    """Return who calls; nobody in particular without tokens, if the request names this agent. Raises `Refused`,
    `HeaderRefused`."""
    if not known:
        own_hosts.check(request)
        return ""
    token = bearer_token(request.scope)
    key = request.headers.get("x-api-key")
    for given in (token, key.encode() if key else None):
        if given is not None and (name := known.find_name(given)) is not None:
            return name
    raise Refused(401, _UNAUTHORIZED)


def refuse_forms(request: Request) -> None:
    """Keep pages of other sites from posting through their visitor's browser. Raises `Refused`."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type in _SENT_BY_FORMS:
        raise Refused(422, f"the body is sent as {media_type}; send it with Content-Type: application/json")


class Bodies:
    """Reads what requests bring: so many bytes each, and so many together."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._total = BodyTotal()

    async def read(self, request: Request, model: type[Model], *, optional: bool = False) -> Model:
        """Return the body as a `model`. Raises `Refused`, `Busy`."""
        data = await self._read(request)
        if optional and not data.strip():
            return model()
        try:
            return model.model_validate(parse_json(data))
        except BadJson as error:
            raise Refused(422, f"Invalid JSON in request body: {error}") from None
        except ValidationError as error:
            raise Refused(422, _problems(error.errors())) from None

    async def _read(self, request: Request) -> bytes:
        data = bytearray()
        try:
            async for chunk in request.stream():
                data += chunk
                self._total.held += len(chunk)
                if len(data) > self._most:
                    raise Refused(413, f"the body is larger than {self._most} bytes")
                if self._total.held > self._total.most:
                    raise Busy
        finally:
            self._total.held -= len(data)
        return bytes(data)


def _problems(errors: Any) -> str:
    return "; ".join(f"{'.'.join(map(str, error['loc']))}: {error['msg']}" for error in errors[:10])


def _detail(status: int, detail: str, headers: dict[str, str] | None = None) -> Response:
    return json_answer({"detail": detail}, status, headers)
