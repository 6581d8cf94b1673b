"""Parameters are checked strictly, and every problem is told at once, in words that say what is accepted.

A model's field descriptions are those words: they make the messages here and the OpenAPI document alike.
"""

from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from fastapi import Depends
from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from starlette.requests import Request

from admin_api.errors import InvalidParameters

Model = TypeVar("Model")

STRICT = ConfigDict(extra="forbid", strict=True)

_PROBLEMS_SHOWN = 10


class Parameters(BaseModel):
    """Fields of which none is converted from another type and none may be unknown."""

    model_config = STRICT


class NoParameters(Parameters):
    """For routes that take none."""


def check(adapter: TypeAdapter[Model], given: Mapping[str, Any]) -> Model:
    """Raises `InvalidParameters` naming everything that is wrong."""
    try:
        return adapter.validate_python(given)
    except ValidationError as error:
        accepted = _descriptions(adapter)
        problems = {str(problem["loc"][0]): problem["type"] for problem in error.errors()[:_PROBLEMS_SHOWN]}
        raise InvalidParameters(
            {name: _explain(name, kind, accepted) for name, kind in problems.items()}
        ) from None


def query_of(model: type[Model]) -> Any:
    """A dependency: the query string as a `model`. A parameter that comes twice is refused."""
    adapter = TypeAdapter(model)

    async def read(request: Request) -> Model:
        given = request.query_params
        if twice := sorted({name for name in given if len(given.getlist(name)) > 1}):
            raise InvalidParameters({name: f"{name} is given more than once" for name in twice})
        return check(adapter, dict(given))

    return Depends(read)


NoQuery = Annotated[NoParameters, query_of(NoParameters)]


def _decimal(value: object) -> object:
    """An integer as it stands in a query string: digits and nothing else."""
    plain = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 15
    return int(value) if plain else value  # type: ignore[call-overload]  # plain says it is a str


Decimal = Annotated[int, BeforeValidator(_decimal)]


def _descriptions(adapter: TypeAdapter[Any]) -> dict[str, str]:
    fields = adapter.json_schema().get("properties", {})
    return {name: field["description"] for name, field in fields.items()}


def _explain(name: str, kind: str, accepted: Mapping[str, str]) -> str:
    if kind == "extra_forbidden":
        return f"{name[:100]} is not known here; accepted: {', '.join(accepted) or 'no parameters'}"
    if kind == "missing":
        return f"{name} is missing; it is {accepted[name]}"
    return f"{name} must be {accepted[name]}"
