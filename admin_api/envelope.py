"""The one shape of every answer: `success`, `data`, `error`."""

from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, create_model
from starlette.responses import Response

from groundwork.http.json_body import to_json


@cache
def answer_of(data: type[Any]) -> type[BaseModel]:
    """What a successful answer with that data looks like: `StatusAnswer` for `StatusData`.

    Not a generic class, whose name in the OpenAPI document no client would want: `Envelope_StatusData_`.
    """
    name = f"{data.__name__.removesuffix('Data')}Answer"
    return create_model(name, success=(Literal[True], ...), data=(data, ...), error=(None, ...))


class ErrorDetail(BaseModel):
    """`code` is for programs, `message` for people; further fields name what the error is about."""

    model_config = ConfigDict(extra="allow")

    code: str
    message: str


class Error(BaseModel):
    """What every other answer looks like."""

    success: Literal[False]
    data: None
    error: ErrorDetail


class EnvelopeResponse(Response):
    """JSON that is never kept by a cache between the agent and whoever asks."""

    media_type = "application/json"

    def __init__(self, content: object, status_code: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(content, status_code, {**NO_STORE, **(headers or {})})

    def render(self, content: object) -> bytes:
        return to_json(content)


NO_STORE = {"Cache-Control": "no-store"}


def ok(data: Mapping[str, Any]) -> EnvelopeResponse:
    return EnvelopeResponse({"success": True, "data": data, "error": None})


def failure(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None, **details: object
) -> EnvelopeResponse:
    error = {"code": code, "message": message, **details}
    return EnvelopeResponse({"success": False, "data": None, "error": error}, status, headers)
