"""What FastAPI cannot find out by itself, since the routes read bodies and queries on their own terms."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import UnionType
from typing import Any

from pydantic import BaseModel, TypeAdapter
from typing_extensions import TypedDict

from groundwork.postgres import DatabaseUnavailable
from registry.errors import Forbidden, InvalidRequest, Unauthenticated
from registry.http_errors import status_of

Responses = dict[int | str, dict[str, Any]]


class Failure(TypedDict):
    error: str


# As a schema and not as a model: FastAPI would make validators of it, for each status of each route.
_FAILURE = {"application/json": {"schema": TypeAdapter(Failure).json_schema()}}


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
        content = {"application/json": {"schema": _schema(body)}}
        extra["requestBody"] = {"required": not optional, "content": content}
    if query or headers:
        extra["parameters"] = [*(_parameters(_schema(query)) if query else []), *headers]
    return extra


def _parameters(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": field}
        for name, field in schema["properties"].items()
    ]


def _schema(model: Any) -> dict[str, Any]:
    schema = TypeAdapter(model).json_schema()
    inlined: dict[str, Any] = _inline(schema, schema.get("$defs", {}))
    return inlined


def _inline(schema: Any, definitions: Mapping[str, Any]) -> Any:
    """The schema with its definitions where they are used, since references into it would not be found in the
    document; and without the titles that pydantic makes up."""
    if isinstance(schema, list):
        return [_inline(item, definitions) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    if reference := schema.get("$ref"):
        return _inline(definitions[reference.rpartition("/")[2]], definitions)
    return {
        key: {name: _inline(field, definitions) for name, field in value.items()}
        if key == "properties"
        else _inline(value, definitions)
        for key, value in schema.items()
        if key not in ("$defs", "title")
    }
