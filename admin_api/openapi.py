"""What FastAPI cannot find out by itself, since the routes read bodies and parameters on their own terms."""

from http import HTTPStatus
from typing import Any

from admin_api.envelope import Error
from admin_api.errors import InvalidParameters, answer_for
from groundwork.http.hosts import HeaderRefused
from groundwork.http.openapi import inline_schema, query_parameters
from groundwork.postgres.pool import DatabaseUnavailable

_CONTROL = r"\u0000-\u001f\u007f-\u009f"

THREAD_ID = {
    "name": "thread_id",
    "in": "path",
    "required": True,
    "description": "Percent-encoded, a slash as %2F.",
    "schema": {
        "type": "string",
        "minLength": 1,
        "maxLength": 255,
        # No control characters, and not blank.
        "pattern": rf"^[^{_CONTROL}]*[^\s{_CONTROL}][^{_CONTROL}]*$",
    },
}

Responses = dict[int | str, dict[str, Any]]

# As a schema and not as a model: FastAPI would make validators of it, for each status of each route.
_FAILURE = {"application/json": {"schema": inline_schema(Error)}}


def failures(*errors: type[Exception]) -> Responses:
    """The statuses that these errors are answered with, and those that any route may answer with."""
    codes: dict[int, set[str]] = {}
    for error in (*errors, InvalidParameters, HeaderRefused, DatabaseUnavailable, Exception):
        status, code = answer_for(error)
        codes.setdefault(status, set()).add(code)
    return {
        status: {
            "content": _FAILURE,
            "description": f"{HTTPStatus(status).phrase}: {', '.join(sorted(names))}",
        }
        for status, names in sorted(codes.items())
    }


def parameters(*described: dict[str, Any], query: type[Any] | None = None) -> dict[str, Any]:
    """The parameters of a route: those given, and the fields of `query`."""
    return {"parameters": [*described, *(query_parameters(query) if query else [])]}


def body(model: type[Any], **more: Any) -> dict[str, Any]:
    """The body of a route."""
    schema = inline_schema(model) | more
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}
