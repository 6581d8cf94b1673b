"""Which error leaves with which status and code; the only place of the admin API that knows."""

import logging
from collections.abc import Mapping, Sequence
from uuid import uuid4

from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from admin_api.envelope import EnvelopeResponse, failure
from agent_runtime.errors import (
    AgentBusy,
    AgentError,
    AgentIdRequired,
    AgentStillAlive,
    AgentStopping,
    AnotherQuestion,
    BudgetSpent,
    CallerBusy,
    DecisionNotFound,
    ImmutableField,
    InvalidValue,
    MemoryDisabled,
    MigrationConcernsOthers,
    NothingToDecide,
    RegistryNotConfigured,
    RegistryRuntimeUnavailable,
    StepNotFound,
    ThreadError,
    ThreadNotFound,
    ThreadNotOurs,
    ThreadOfAnotherCaller,
    TurnNotFound,
)
from groundwork.http.hosts import HeaderRefused
from groundwork.http.load import Busy
from groundwork.postgres.pool import DatabaseUnavailable
from groundwork.telemetry.logs import request_id as current_request_id

logger = logging.getLogger(__name__)


class RequestError(Exception):
    """A request that is refused before the agent is asked anything."""


class InvalidBody(RequestError):
    """The body is not a JSON object."""


class InvalidParameters(RequestError):
    """Parameters are missing, unknown, or of the wrong type or range; the message says what is accepted."""

    def __init__(self, problems: Mapping[str, str]) -> None:
        super().__init__("; ".join(problems.values()))
        self.fields = list(problems)
        self.field = self.fields[0]


class NothingToChange(RequestError):
    """A change that names no field."""


class MissingThreadId(RequestError):
    """The thread id is missing or blank."""


class PayloadTooLarge(RequestError):
    def __init__(self, limit: int) -> None:
        super().__init__(f"the body is larger than the {limit} bytes that are accepted")
        self.limit = limit


class Unauthorized(RequestError):
    """A token is required, and missing or wrong."""

    headers: Mapping[str, str] = {"WWW-Authenticate": 'Bearer realm="admin API"'}


class RoleRefused(RequestError):
    """The caller is known, and may not do this."""


class RouteNotFound(RequestError):
    """The admin API has no such path."""


class MethodNotAllowed(RequestError):
    """The path is there, for other methods."""

    def __init__(self, method: str, allowed: Sequence[str]) -> None:
        super().__init__(f"{method} is not possible here; possible are {', '.join(allowed)}")
        self.headers = {"Allow": ", ".join(allowed)}


ANSWERS: dict[type[BaseException], tuple[int, str]] = {
    Exception: (500, "INTERNAL_ERROR"),
    DatabaseUnavailable: (503, "UNAVAILABLE"),
    Busy: (503, "UNAVAILABLE"),
    TimeoutError: (503, "UNAVAILABLE"),
    # what the agent says
    AgentError: (500, "INTERNAL_ERROR"),
    InvalidValue: (400, "INVALID_PARAM"),
    MemoryDisabled: (404, "MEMORY_DISABLED"),
    AgentIdRequired: (409, "AGENT_ID_REQUIRED"),
    ImmutableField: (422, "IMMUTABLE_FIELD"),
    ThreadError: (409, "CONFLICT"),
    ThreadNotFound: (404, "THREAD_NOT_FOUND"),
    StepNotFound: (404, "STEP_NOT_FOUND"),
    TurnNotFound: (404, "TURN_NOT_FOUND"),
    DecisionNotFound: (404, "DECISION_NOT_FOUND"),
    NothingToDecide: (409, "CONFLICT"),
    AnotherQuestion: (409, "CONFLICT"),
    AgentBusy: (503, "UNAVAILABLE"),
    AgentStopping: (503, "UNAVAILABLE"),
    CallerBusy: (429, "TOO_MANY_REQUESTS"),
    BudgetSpent: (429, "TOO_MANY_REQUESTS"),
    ThreadNotOurs: (403, "FORBIDDEN"),
    ThreadOfAnotherCaller: (403, "FORBIDDEN"),
    MigrationConcernsOthers: (403, "FORBIDDEN"),
    AgentStillAlive: (409, "CONFLICT"),
    RegistryNotConfigured: (409, "RUNTIME_UNAVAILABLE"),
    RegistryRuntimeUnavailable: (409, "RUNTIME_UNAVAILABLE"),
    # what is refused here
    RequestError: (400, "INVALID_PARAM"),
    InvalidBody: (400, "INVALID_BODY"),
    MissingThreadId: (400, "MISSING_THREAD_ID"),
    PayloadTooLarge: (413, "PAYLOAD_TOO_LARGE"),
    Unauthorized: (401, "UNAUTHORIZED"),
    RoleRefused: (403, "FORBIDDEN"),
    HeaderRefused: (403, "FORBIDDEN"),
    RouteNotFound: (404, "NOT_FOUND"),
    MethodNotAllowed: (405, "METHOD_NOT_ALLOWED"),
}

# Errors raised by what a host puts in front of the routes; other client errors are taken for bad parameters.
HTTP_CODES = {
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT",
    413: "PAYLOAD_TOO_LARGE",
    503: "UNAVAILABLE",
}

# Told to the caller where the error has such an attribute.
DETAILS = ("field", "fields", "thread_id", "task_id", "limit", "decided_by")


def answer_for(error: type[Exception]) -> tuple[int, str]:
    """Status and code; a class that is not listed is answered like the nearest of its parents that is."""
    return next(ANSWERS[kind] for kind in error.__mro__ if kind in ANSWERS)


def respond_to(error: Exception) -> EnvelopeResponse:
    """The answer to a request that raised `error`. What is our fault is logged and told only by a request id."""
    if isinstance(error, HTTPException):
        return _respond_to_http(error)
    if isinstance(error, RequestValidationError):
        problems = {
            str(problem["loc"][-1]): f"{problem['loc'][-1]}: {problem['msg']}" for problem in error.errors()
        }
        error = InvalidParameters(problems)
    status, code = answer_for(type(error))
    if isinstance(error, Busy | AgentBusy | AgentStopping):  # not worth a line in the log for each
        headers = getattr(error, "headers", None)
        return failure(status, code, str(error), headers, request_id=_request_id())
    if status >= 500:
        return _respond_to_fault(error, status, code)
    details = {name: getattr(error, name) for name in DETAILS if hasattr(error, name)}
    return failure(status, code, str(error), getattr(error, "headers", None), **details)


def _respond_to_http(error: HTTPException) -> EnvelopeResponse:
    status = error.status_code
    code = HTTP_CODES.get(status, "INTERNAL_ERROR" if status >= 500 else "INVALID_PARAM")
    if status >= 500:
        return _respond_to_fault(error, status, code)
    return failure(status, code, str(error.detail), error.headers)


def _respond_to_fault(error: Exception, status: int, code: str) -> EnvelopeResponse:
    request_id = _request_id()
    if code == "UNAVAILABLE":
        logger.warning("request not answered request_id=%s: %s", request_id, str(error) or "it took too long")
        message = "the database cannot be reached at the moment; try again"
    else:
        logger.error("request crashed request_id=%s", request_id, exc_info=error)
        message = "something went wrong inside; the agent's log tells more under this request id"
    return failure(status, code, message, request_id=request_id)


def _request_id() -> str:
    return current_request_id.get() or uuid4().hex
