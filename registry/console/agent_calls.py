"""What pages ask of agents themselves, by the gateway: the viewer's role holds there too, and what changes
something is in the audit log."""

import asyncio
from collections.abc import Mapping
from typing import Any, TypeVar
from urllib.parse import urlencode

from pydantic import BaseModel, TypeAdapter, ValidationError

from groundwork.http.json_body import BadJson, parse_json, to_json
from registry.console.pages import Viewer
from registry.errors import (
    AgentTimedOut,
    AgentUnreachable,
    Conflict,
    Forbidden,
    InvalidRequest,
    LimitReached,
    NotFound,
    RegistryError,
)
from registry.gateway.calls import AdminCall

Shape = TypeVar("Shape")

_LONGEST = 8 * 1024 * 1024
_ERRORS: Mapping[int, type[RegistryError]] = {
    400: InvalidRequest,
    403: Forbidden,
    404: NotFound,
    409: Conflict,
    422: InvalidRequest,
    429: LimitReached,
}


async def ask_agent(
    viewer: Viewer,
    agent_id: str,
    path: str,
    shape: TypeAdapter[Shape],
    *,
    method: str = "GET",
    query: Mapping[str, Any] | None = None,
    body: Mapping[str, Any] | None = None,
    seconds: float = 30.0,
) -> Shape:
    """Return what the agent answers below `/api/v1/`, which has to have that shape.

    Raises what `Gateway.send` does, and for an agent that refuses, what the registry would raise for that.
    """
    headers = {"accept": "application/json", **({"content-type": "application/json"} if body is not None else {})}
    given = {name: value for name, value in (query or {}).items() if value is not None}
    call = AdminCall(method, path, urlencode(given), headers, b"" if body is None else to_json(body))
    try:
        async with asyncio.timeout(seconds):
            status, content = await _send(viewer, agent_id, call)
    except TimeoutError:
        raise AgentTimedOut(f"agent {agent_id} did not answer within {seconds:g} seconds") from None
    return _read(agent_id, status, content, shape)


async def _send(viewer: Viewer, agent_id: str, call: AdminCall) -> tuple[int, bytes]:
    answer = await viewer.registry.gateway.send(viewer.principal, agent_id, call)
    try:
        return answer.status, await answer.read(_LONGEST)
    finally:
        await answer.aclose()


def _read(agent_id: str, status: int, content: bytes, shape: TypeAdapter[Shape]) -> Shape:
    """What an agent answers may be anything. Raises `AgentUnreachable` for what is no answer of an admin API."""
    try:
        answer = _Envelope.model_validate(parse_json(content))
        if answer.error is None:
            return shape.validate_python(answer.data)
    except (BadJson, ValidationError) as error:
        raise AgentUnreachable(
            f"agent {agent_id} does not answer as its admin API should ({type(error).__name__})"
        ) from None
    raise _ERRORS.get(status, AgentUnreachable)(f"agent {agent_id}: {answer.error.message}")


class _Failure(BaseModel):
    message: str


class _Envelope(BaseModel):
    data: Any = None
    error: _Failure | None
