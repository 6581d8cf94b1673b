"""Checking what callers sent: every problem is told at once, each with the name of the field."""

import re
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails
from starlette.datastructures import QueryParams

from registry.errors import InvalidRequest

Model = TypeVar("Model")

_ID = re.compile(r"[^\s/\\\x00-\x1f\x7f]{1,255}")
_PROBLEMS_SHOWN = 20


class Body(BaseModel):
    """A JSON object. Nothing in it is converted from another type; what is unknown is left alone."""

    model_config = ConfigDict(strict=True, extra="ignore")


class Query(BaseModel):
    """A query string. Numbers are read from text; what is unknown is refused, since a misspelt filter would
    otherwise show everything."""

    model_config = ConfigDict(extra="forbid")


Flag = Literal["true", "false"]
Limit = Annotated[int, Field(ge=1, le=200)]
Offset = Annotated[int, Field(ge=0, le=2**31 - 1)]


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("accepted: printable characters")
    return text


Name = Annotated[str, Field(max_length=255), AfterValidator(_printable)]
"""What somebody calls something, on one line."""


def check_value(adapter: TypeAdapter[Model], value: Mapping[str, Any], *, inside: str = "") -> Model:
    """Raises `InvalidRequest`. `inside` is what the names of fields begin with."""
    try:
        return adapter.validate_python(value)
    except ValidationError as error:
        raise InvalidRequest(*_problems(error, inside)) from None


def check_query(adapter: TypeAdapter[Model], given: QueryParams) -> Model:
    """Raises `InvalidRequest`."""
    if twice := sorted({name for name in given if len(given.getlist(name)) > 1}):
        raise InvalidRequest(*(f"{name} is given more than once" for name in twice))
    refuse_unstorable_text(dict(given))
    try:
        return adapter.validate_python(dict(given))
    except ValidationError as error:
        accepted = ", ".join(adapter.json_schema().get("properties", {})) or "none"
        raise InvalidRequest(*_problems(error), f"accepted parameters: {accepted}") from None


def is_id(text: str) -> bool:
    """Whether something can be called so: 1 to 255 printable characters without blanks and slashes, and not a path
    that clients shorten."""
    return _ID.fullmatch(text) is not None and text.isprintable() and text not in (".", "..")


def refuse_unstorable_text(value: object, where: str = "") -> None:
    """Raises `InvalidRequest` for text that PostgreSQL cannot hold: NULs and halves of surrogate pairs."""
    if isinstance(value, str):
        if "\x00" in value:
            raise InvalidRequest(f"{where or 'the body'} contains a NUL character")
        if not value.isascii() and any("\ud800" <= character <= "\udfff" for character in value):
            raise InvalidRequest(f"{where or 'the body'} contains half of a surrogate pair")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            refuse_unstorable_text(key, f"a key in {where or 'the body'}")
            refuse_unstorable_text(item, f"{where}.{key}" if where else str(key))
    elif isinstance(value, list):
        for item in value:
            refuse_unstorable_text(item, where)


def _problems(error: ValidationError, inside: str = "") -> list[str]:
    return [_explain(problem, inside) for problem in error.errors(include_url=False)[:_PROBLEMS_SHOWN]]


def _explain(problem: ErrorDetails, inside: str) -> str:
    name = ".".join([*([inside] if inside else []), *map(str, problem["loc"])])
    if problem["type"] == "missing":
        return f"{name} is required"
    if problem["type"] == "extra_forbidden":
        return f"{name} is not known here"
    if problem["type"] == "tuple_type":
        return f"{name} should be a list"
    if problem["type"] in ("model_type", "dict_type"):
        return f"{name} should be an object"
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if not name:
        return message
    return f"{name} {message}" if message.startswith("should ") else f"{name}: {message}"
