"""Calls of models through LangChain, whose providers have an error class each for the same few situations."""

import asyncio
from collections.abc import Iterator, Sequence
from typing import Any

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages import ToolCall as LangChainToolCall

from groundwork.bounds import NODE_SECONDS
from groundwork.models.chat_models import API_KEYS
from groundwork.telemetry.logs import redact
from registry.outbound.model_calls import (
    CallMade,
    Message,
    ModelAnswer,
    ModelCallFailed,
    ModelRequest,
    ToolCall,
    read_arguments,
)

_MODEL_SECONDS = 600.0
_LONGEST_SHOWN = 300

PROVIDERS = {
    "azure": "azure_openai",
    "fireworks_ai": "fireworks",
    "gemini": "google_genai",
    "google": "google_genai",
    "mistral": "mistralai",
    "together_ai": "together",
    "vertex_ai": "google_vertexai",
}
"""JamJet's names of providers where LangChain has others."""

_BY_NAME = {
    "claude": "anthropic",
    "chatgpt-": "openai",
    "gpt-": "openai",
    "o1": "openai",
    "o3": "openai",
    "o4": "openai",
    "gemini": "google_genai",
}
"""Whose models are known without their provider, by how they begin."""

# By their names: providers' packages come with HTTP clients of several kinds.
_TIMEOUTS = {"TimeoutError", "TimeoutException", "APITimeoutError"}
_NO_CONNECTION = {"OSError", "TransportError", "APIConnectionError"}

_FINISHED = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "STOP": "stop",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "MAX_TOKENS": "length",
}


def split_model_id(model_id: str) -> tuple[str, str] | None:
    """LangChain's provider and the model's name there; None when the id names no provider, nor tells it by itself.

    Ids are `provider/model`, `provider:model`, or a model that everybody knows, such as `claude-sonnet-4-5`.
    """
    for separator in "/:":
        provider, found, name = model_id.partition(separator)
        if found and provider and name:
            provider = provider.lower().replace("-", "_")
            return PROVIDERS.get(provider, provider), name
    known = (provider for start, provider in _BY_NAME.items() if model_id.lower().startswith(start))
    provider = next(known, "")
    return (provider, model_id) if provider else None


async def call_model(model: BaseChatModel, request: ModelRequest) -> ModelAnswer:
    """Raises `ModelCallFailed`; anything that no provider explains is raised as it is."""
    runnable = model.bind_tools([dict(tool) for tool in request.tools]) if request.tools else model
    seconds = min(request.timeout_seconds or _MODEL_SECONDS, NODE_SECONDS)
    try:
        async with asyncio.timeout(seconds):
            answer = await runnable.ainvoke([_message(each) for each in request.messages])
    except TimeoutError:
        raise _failed(request, f"no answer within {seconds:g} seconds", "timeout") from None
    except Exception as error:
        # Each provider's package has errors of its own; what they have in common is looked for below.
        failure = _explained(request, error)
        if failure is None:
            raise
        raise failure from error
    return _answer(request, answer)


def _message(message: Message) -> BaseMessage:
    content: Any = message.content if message.content is not None else ""
    match message.role:
        case "system" | "developer":
            return SystemMessage(content)
        case "user":
            return HumanMessage(content)
        case "tool":
            return ToolMessage(content, tool_call_id=message.tool_call_id or "", name=message.name)
        case "assistant":
            calls, invalid = _calls(message.tool_calls or [])
            return AIMessage(content, tool_calls=calls, invalid_tool_calls=invalid)


def _calls(made: Sequence[CallMade]) -> tuple[list[LangChainToolCall], list[InvalidToolCall]]:
    calls: list[LangChainToolCall] = []
    invalid: list[InvalidToolCall] = []
    for call in made:
        name, arguments = call.function.name, read_arguments(call.function.arguments)
        if isinstance(arguments, dict):
            calls.append(LangChainToolCall(name=name, args=arguments, id=call.id))
        else:
            text = str(call.function.arguments)
            invalid.append(InvalidToolCall(type="invalid_tool_call", name=name, args=text, id=call.id, error=None))
    return calls, invalid


def _answer(request: ModelRequest, answer: AIMessage) -> ModelAnswer:
    told = answer.response_metadata
    calls = [ToolCall(call["id"] or "", call["name"], call["args"]) for call in answer.tool_calls]
    calls += [ToolCall(call["id"] or "", call["name"] or "", call["args"]) for call in answer.invalid_tool_calls]
    finish = str(told.get("finish_reason") or told.get("stop_reason") or "stop")
    usage = answer.usage_metadata
    return ModelAnswer(
        content=answer.text,
        model=str(told.get("model_name") or told.get("model") or request.model),
        finish_reason="tool_calls" if calls else _FINISHED.get(finish, finish),
        tool_calls=calls,
        input_tokens=usage["input_tokens"] if usage else None,
        output_tokens=usage["output_tokens"] if usage else None,
    )


def _explained(request: ModelRequest, error: Exception) -> ModelCallFailed | None:
    status = _status(error)
    if status == 429:
        return _failed(request, error, "rate_limit", retry_after=_retry_after(error))
    if status is not None:
        kind = "server_error" if status >= 500 else "timeout" if status == 408 else "error"
        return _failed(request, error, kind)
    names = {kind.__name__ for cause in _causes(error) for kind in type(cause).__mro__}
    if names & _TIMEOUTS:
        return _failed(request, "the provider did not answer in time", "timeout")
    return _failed(request, error, "io_error") if names & _NO_CONNECTION else None


def _failed(
    request: ModelRequest, reason: object, kind: str, *, retry_after: float | None = None
) -> ModelCallFailed:
    # A provider's refusal may quote the key.
    first_line = redact(str(reason)).strip().partition("\n")[0][:_LONGEST_SHOWN]
    return ModelCallFailed(
        f"{request.model}: {first_line}", kind=kind, retryable=kind != "error", retry_after=retry_after
    )


def _status(error: Exception) -> int | None:
    given = getattr(error, "status_code", None) or getattr(error, "code", None)
    return given if isinstance(given, int) and not isinstance(given, bool) and 400 <= given < 600 else None


def _retry_after(error: Exception) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        return float(headers.get("retry-after", ""))
    except ValueError:
        return None  # a date, or nothing: the node's own delay will do


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def own_retries(provider: str) -> dict[str, Any]:
    """Parameters that keep the provider's package from trying again by itself: a node has a policy for that, and
    waits without holding a worker."""
    return {"max_retries": 0} if provider in API_KEYS else {}
