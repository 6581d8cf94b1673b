"""What a model is asked and what it answers. Messages have OpenAI's shape, as in the states of JamJet's agents."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from registry.executions.events import Failed

LONGEST_RETRY_AFTER = 3600.0


class _Shape(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class Function(_Shape):
    name: str
    arguments: str | dict[str, Any] | None = None
    """JSON, or the object that it is meant to be."""


class CallMade(_Shape):
    """A call that a model asked for, in the message with which it did."""

    id: str
    type: Literal["function"] = "function"
    function: Function


class Message(_Shape):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[CallMade] | None = None
    tool_call_id: str | None = None

    def dump(self) -> dict[str, Any]:
        return {"content": "", **self.model_dump(exclude_none=True)}


_MESSAGES = TypeAdapter(list[Message])


class BadMessages(ValueError):
    """They are not messages; the text says which one, and why."""


@dataclass(frozen=True)
class ModelRequest:
    """`model` is an id such as `anthropic/claude-sonnet-4-5`; `tools` are functions as OpenAI describes them."""

    model: str
    messages: Sequence[Message]
    tools: Sequence[Mapping[str, Any]] = ()
    temperature: float | None = None
    max_tokens: int | None = None
    timeout_seconds: float | None = None


@dataclass(frozen=True)
class ToolCall:
    id: str
    name: str
    arguments: Any
    """An object; text where the model wrote what is no JSON."""


@dataclass(frozen=True)
class ModelAnswer:
    """`finish_reason` is in OpenAI's words: `stop`, `tool_calls`, `length` ... What nobody told is None."""

    content: str
    model: str
    finish_reason: str = "stop"
    tool_calls: Sequence[ToolCall] = ()
    input_tokens: int | None = None
    output_tokens: int | None = None
    cost_usd: float | None = None

    @property
    def usage(self) -> dict[str, Any]:
        """For the event of the node's completion."""
        told = {
            "gen_ai_model": self.model,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "finish_reason": self.finish_reason,
            "cost_usd": self.cost_usd,
        }
        return {name: value for name, value in told.items() if value is not None}


class ModelCallFailed(Exception):
    """No answer came; the message says why, and shows no key. `kind` is as in `Failed`."""

    def __init__(
        self, message: str, *, kind: str = "error", retryable: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.retryable = retryable
        self.retry_after = None if retry_after is None else min(max(retry_after, 0.0), LONGEST_RETRY_AFTER)

    def outcome(self) -> Failed:
        return Failed(str(self), retryable=self.retryable, kind=self.kind, retry_after=self.retry_after)


def system(text: str) -> Message:
    return Message(role="system", content=text)


def user(text: str) -> Message:
    return Message(role="user", content=text)


def read_messages(value: Any) -> list[Message]:
    """Raises `BadMessages`."""
    try:
        messages = _MESSAGES.validate_python(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise BadMessages(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}".lstrip(": ")) from None
    for number, message in enumerate(messages):
        if message.role == "tool" and not message.tool_call_id:
            raise BadMessages(f"{number}: the result of a tool without tool_call_id")
    return messages


def read_tools(tools: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The tools with proper JSON schemas: JamJet's compiler writes the type alone, `{"order_id": "string"}`."""
    return [{"type": "function", "function": _function(tool.get("function"))} for tool in tools]


def read_arguments(given: Any) -> Any:
    """The object in the JSON text; what is none stays as it is."""
    if not isinstance(given, str):
        return {} if given is None else given
    try:
        return json.loads(given or "{}")
    except (ValueError, RecursionError):
        return given


def _function(given: Any) -> dict[str, Any]:
    function = dict(given) if isinstance(given, Mapping) else {}
    parameters = function.get("parameters")
    schema = dict(parameters) if isinstance(parameters, Mapping) else {}
    properties = schema.get("properties")
    if not isinstance(properties, Mapping):
        properties = {}
    function["parameters"] = {
        **schema,
        "type": "object",
        "properties": {name: _property(value) for name, value in properties.items()},
    }
    return function


def _property(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    return {"type": "array", "items": {}} if value == "array" else {"type": value}
