"""The admin APIs of agents, each below its agent."""

import re
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import TypedDict

from groundwork.http.openapi import DocumentedRouter
from registry.errors import AgentAway, AgentTimedOut, AgentUnreachable, LimitReached, NotFound
from registry.gateway.calls import AdminAnswer, AdminCall
from registry.http.deps import CurrentRegistry, Reader, RegistryRoute, read_bytes
from registry.http.openapi import failures

router = DocumentedRouter(prefix="/agents/{agent_id}/admin", route_class=RegistryRoute, tags=["agents"])

_PATH_AS_SENT = re.compile(rb"/agents/[^/]+/admin/(.*)", re.DOTALL)


class AgentAdminAnswer(TypedDict):
    """What the agent's admin API answers, as it is."""

    success: bool
    data: Any
    error: dict[str, Any] | None


class _PassedOn(StreamingResponse):
    """An agent's answer, which is given up when whoever asked for it goes away."""

    def __init__(self, answer: AdminAnswer) -> None:
        super().__init__(answer.stream(), answer.status, {"Cache-Control": "no-store", **answer.headers})
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._answer.aclose()


async def call_agent(
    request: Request, principal: Reader, registry: CurrentRegistry, agent_id: str, path: str
) -> Response:
    """What `/api/v1/{path}` of the agent's own admin API does and answers, by a process of it that lives. Reading
    is for every role, writing for developers and operators, deleting and migrating for operators. 502, 503 and 504
    in the registry's form: the agent gave no answer that can be used, none of its processes can be reached, it did
    not answer in time."""
    # `path` is decoded, and would not tell a slash from an encoded one.
    match = _PATH_AS_SENT.search(request.scope["raw_path"])
    sent = match[1].decode("latin-1") if match else path
    query = request.scope["query_string"].decode("latin-1")
    call = AdminCall(request.method, sent, query, request.headers, await read_bytes(request))
    return _PassedOn(await registry.gateway.send(principal, agent_id, call))


for _method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
    router.add_api_route(
        "/{path:path}",
        call_agent,
        methods=[_method],
        name=f"{_method.lower()}_agent_admin",
        response_model=AgentAdminAnswer,
        responses=failures(NotFound, LimitReached, AgentUnreachable, AgentAway, AgentTimedOut),
    )
