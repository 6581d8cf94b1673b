"""The admin APIs of agents, each below its agent."""

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send
from typing_extensions import TypedDict

from groundwork.http.json_body import parse_json
from groundwork.http.labels import read_label_filter
from groundwork.http.openapi import DocumentedRouter
from registry.agents.labels import LabelFilter
from registry.agents.models import Selection
from registry.checks import Limit, Query
from registry.errors import AgentAway, AgentTimedOut, AgentUnreachable, InvalidRequest, LimitReached, NotFound
from registry.gateway.bulk import BulkResult, call_each
from registry.gateway.calls import AdminAnswer, AdminCall
from registry.http.deps import CurrentRegistry, Reader, RegistryRoute, Writer, query_of, read_bytes, read_json
from registry.http.errors import JsonResponse, respond_to
from registry.http.openapi import described, failures

router = DocumentedRouter(prefix="/agents/{agent_id}/admin", route_class=RegistryRoute, tags=["agents"])
bulk_router = DocumentedRouter(route_class=RegistryRoute, tags=["agents"])

_MEMORY_CHANGES = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "title": "MemoryChanges",
                    "type": "object",
                    "description": "As the agents' own admin APIs take it.",
                    "properties": {
                        "summarize": {"type": "boolean"},
                        "window_size": {"type": "integer"},
                        "summarize_threshold": {"type": "integer"},
                    },
                }
            }
        },
    }
}
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


class BulkQuery(Query):
    label: LabelFilter
    limit: Limit = 200
    cursor: Annotated[str, Field(max_length=2048)] | None = None


class BulkResultAnswer(TypedDict):
    agent_id: str
    ok: bool
    status: Annotated[int, Field(description="Of the agent's answer, or of the registry's when none came.")]
    data: Any
    error: str | None


class BulkAnswer(TypedDict):
    results: Annotated[list[BulkResultAnswer], Field(description="In the order of the agents' ids.")]
    succeeded: int
    failed: int
    next_cursor: Annotated[str | None, Field(description="Where to go on; null when that was all.")]


@bulk_router.patch(
    "/memory/config",
    response_model=BulkAnswer,
    responses=failures(),
    openapi_extra={**_MEMORY_CHANGES, **described(query=BulkQuery)},
)
async def change_memory_configs(
    request: Request,
    principal: Writer,
    registry: CurrentRegistry,
    query: Annotated[BulkQuery, query_of(BulkQuery)],
) -> Response:
    """What `PATCH /api/v1/memory/config` does, for each agent that has the label. Each has a result of its own,
    also one that cannot be reached."""
    if not isinstance(await read_json(request), Mapping):
        raise InvalidRequest("the body must be a JSON object")
    headers = {"content-type": "application/json"}
    call = AdminCall("PATCH", "memory/config", headers=headers, body=await read_bytes(request))
    selection = Selection(labels=read_label_filter(query.label))
    page = await call_each(
        registry.agents, registry.gateway, principal, selection, call, limit=query.limit, cursor=query.cursor
    )
    results = [_show_result(result) for result in page.results]
    succeeded = sum(result["ok"] for result in results)
    return JsonResponse(
        {
            "results": results,
            "succeeded": succeeded,
            "failed": len(results) - succeeded,
            "next_cursor": page.next_cursor,
        }
    )


def _show_result(result: BulkResult) -> dict[str, Any]:
    if result.failure is not None:
        alone = respond_to(result.failure)
        said = {"status": alone.status_code, "data": None, "error": parse_json(bytes(alone.body))["error"]}
        return {"agent_id": result.agent_id, "ok": False, **said}
    envelope = result.envelope or {}
    problem = envelope.get("error")
    return {
        "agent_id": result.agent_id,
        "ok": envelope.get("success") is True,
        "status": result.status,
        "data": envelope.get("data"),
        "error": str(problem.get("message")) if isinstance(problem, Mapping) else None,
    }


for _method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
    router.add_api_route(
        "/{path:path}",
        call_agent,
        methods=[_method],
        name=f"{_method.lower()}_agent_admin",
        response_model=AgentAdminAnswer,
        responses=failures(NotFound, LimitReached, AgentUnreachable, AgentAway, AgentTimedOut),
    )
