"""The model seam of JamJet: a service beside the registry that calls models for it (`jamjet dev` starts one)."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Annotated, Any

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from groundwork.outgoing.fetch import Fetched, FetchFailed, FetchTimedOut, OutgoingPolicy, fetch, open_client
from registry.outbound.model_calls import ModelAnswer, ModelCallFailed, ModelRequest, ToolCall, read_arguments

_POLICY = OutgoingPolicy(timeout_seconds=600, max_bytes=16 * 1024 * 1024, max_redirects=0)
_RETRY_AFTER_SECONDS = 60.0
"""When the seam does not say."""
_LONGEST_SHOWN = 300

Count = Annotated[int, Field(ge=0)]


class _Answered(BaseModel):
    model_config = ConfigDict(extra="ignore", protected_namespaces=())


class _Message(_Answered):
    content: str | None = None


class _Call(_Answered):
    id: Annotated[str, Field(min_length=1)]
    name: Annotated[str, Field(min_length=1)]
    arguments: Any = None


class _Completion(_Answered):
    message: _Message
    model: str
    finish_reason: str = "stop"
    tool_calls: list[_Call] = []
    input_tokens: Count
    output_tokens: Count
    cost_usd: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class ModelSeam:
    """Completes requests at one seam. Nothing else is tried when it fails: it is there to keep to rules."""

    def __init__(self, url: str, client: httpx.AsyncClient) -> None:
        self._url = f"{url.rstrip('/')}/v1/complete"
        self._client = client

    async def complete(self, request: ModelRequest) -> ModelAnswer:
        """Raises `ModelCallFailed`."""
        policy = replace(_POLICY, timeout_seconds=request.timeout_seconds or _POLICY.timeout_seconds)
        body = json.dumps(_body(request)).encode()
        headers = {"Content-Type": "application/json"}
        try:
            answer = await fetch(self._client, "POST", self._url, policy=policy, headers=headers, content=body)
        except FetchTimedOut as error:
            raise ModelCallFailed(f"model seam: {error}", kind="timeout", retryable=True) from error
        except FetchFailed as error:
            raise ModelCallFailed(f"model seam: {error}", kind="io_error", retryable=True) from error
        if answer.status != 200:
            raise _refused(answer)
        return _read(answer.body)


@asynccontextmanager
async def open_seam(url: str) -> AsyncIterator[ModelSeam]:
    """`url` is the operator's word, and may be of a private network."""
    async with open_client(_POLICY) as client:
        yield ModelSeam(url, client)


def _body(request: ModelRequest) -> dict[str, Any]:
    given = {
        "model": request.model,
        "messages": [message.dump() for message in request.messages],
        "tools": list(request.tools) or None,
        "temperature": request.temperature,
        "max_tokens": request.max_tokens,
    }
    return {name: value for name, value in given.items() if value is not None}


def _refused(answer: Fetched) -> ModelCallFailed:
    told = _object(answer.body)
    reason = str(told.get("error") or answer.body.decode("utf-8", "replace"))[:_LONGEST_SHOWN].strip()
    message = f"model seam: {answer.status} {reason}".strip()
    if answer.status == 429:
        given = told.get("retry_after")
        seconds = float(given) if isinstance(given, int | float) else _RETRY_AFTER_SECONDS
        return ModelCallFailed(message, kind="rate_limit", retryable=True, retry_after=seconds)
    if answer.status >= 500:
        return ModelCallFailed(message, kind="server_error", retryable=True)
    return ModelCallFailed(message)


def _read(body: bytes) -> ModelAnswer:
    """What is unclear is refused: counted wrongly it would evade a budget; a call without a name would be lost."""
    try:
        completion = _Completion.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ModelCallFailed(f"model seam: an answer that makes no sense: {field} {first['msg']}") from None
    if completion.finish_reason == "tool_calls" and not completion.tool_calls:
        raise ModelCallFailed("model seam: an answer that makes no sense: tool_calls without a call")
    return ModelAnswer(
        content=completion.message.content or "",
        model=completion.model,
        finish_reason=completion.finish_reason,
        tool_calls=[
            ToolCall(call.id, call.name, read_arguments(call.arguments)) for call in completion.tool_calls
        ],
        input_tokens=completion.input_tokens,
        output_tokens=completion.output_tokens,
        cost_usd=completion.cost_usd,
    )


def _object(body: bytes) -> dict[str, Any]:
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
