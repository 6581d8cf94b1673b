"""What FastAPI cannot find out by itself, since the routes read bodies and queries on their own terms."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import UnionType
from typing import Any, NotRequired

from pydantic import BaseModel
from typing_extensions import TypedDict

from groundwork.http.openapi import inline_schema, query_parameters
from groundwork.postgres.pool import DatabaseUnavailable
from registry.errors import Forbidden, InvalidRequest, Unauthenticated
from registry.http.errors import status_of

Responses = dict[int | str, dict[str, Any]]


class Error(TypedDict):
    """What every answer to a request that failed looks like; `request_id` is there when the log tells more."""

    error: str
    request_id: NotRequired[str]


# As a schema and not as a model: FastAPI would make validators of it, for each status of each route.
_FAILURE = {"application/json": {"schema": inline_schema(Error)}}


def failures(*errors: type[Exception]) -> Responses:
    """The statuses that these errors are answered with, and those that any route may answer with."""
    everywhere = (InvalidRequest, Unauthenticated, Forbidden, DatabaseUnavailable, Exception)
    statuses = sorted({status_of(error) for error in (*errors, *everywhere)})
    answers: Responses = {
        status: {"content": _FAILURE, "description": HTTPStatus(status).phrase} for status in statuses
    }
    # Keeps FastAPI from adding its own 422, which no route of ours answers with.
    return {**answers, "default": {"content": _FAILURE, "description": "Anything else that went wrong"}}


def described(
    *,
    body: type[BaseModel] | UnionType | None = None,
    optional: bool = False,
    query: type[BaseModel] | None = None,
    headers: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """The body, the query parameters and the headers of a route, for its `openapi_extra`; `optional`: no body will
    do."""
    extra: dict[str, Any] = {}
    if body:
        content = {"application/json": {"schema": inline_schema(body)}}
        extra["requestBody"] = {"required": not optional, "content": content}
    if query or headers:
        extra["parameters"] = [*(query_parameters(query) if query else []), *headers]
    return extra
