"""Parameters are checked strictly, and every problem is told at once, in words that say what is accepted.

A model's field descriptions are those words: they make the messages here and the OpenAPI document alike.
"""

from collections.abc import Mapping
from functools import cache
from typing import Annotated, Any, TypeVar

from fastapi import Depends
from pydantic import BaseModel, BeforeValidator, ConfigDict, TypeAdapter, ValidationError
from starlette.requests import Request

from admin_api.errors import InvalidParameters

Model = TypeVar("Model")

STRICT = ConfigDict(extra="forbid", strict=True)

_UNKNOWN_SHOWN = 10


class Parameters(BaseModel):
    """Fields of which none is converted from another type and none may be unknown."""

    model_config = STRICT


class NoParameters(Parameters):
    """For routes that take none."""


def check(adapter: TypeAdapter[Model], given: Mapping[str, Any]) -> Model:
    """Raises `InvalidParameters` naming everything that is wrong."""
    accepted = _descriptions(adapter)
    # Sorted out here, since pydantic cannot name a key that is not valid Unicode.
    unknown = [name for name in given if name not in accepted][:_UNKNOWN_SHOWN]
    problems: dict[str, str] = {}
    try:
        model = adapter.validate_python({name: value for name, value in given.items() if name in accepted})
    except ValidationError as error:
        found = {str(problem["loc"][0]): problem["type"] for problem in error.errors()}
        problems = {name: _explain(name, kind, accepted[name]) for name, kind in found.items()}
    known = ", ".join(accepted) or "no parameters"
    problems |= {name: f"{name[:100]} is not known here; accepted: {known}" for name in unknown}
    if problems:
        raise InvalidParameters(problems)
    return model


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
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 15:
        return int(value)
    return value


DECIMAL = BeforeValidator(_decimal)
"""For an integer in a query string. Stands after the bounds, so that these are in the document."""


@cache
def _descriptions(adapter: TypeAdapter[Any]) -> dict[str, str]:
    fields = adapter.json_schema().get("properties", {})
    return {name: field["description"] for name, field in fields.items()}


def _explain(name: str, kind: str, accepted: str) -> str:
    return f"{name} is missing; it is {accepted}" if kind == "missing" else f"{name} must be {accepted}"
