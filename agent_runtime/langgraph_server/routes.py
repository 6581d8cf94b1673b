"""What the routes of LangGraph's API have in common."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.routing import APIRoute
from fastapi.security import APIKeyHeader, HTTPBearer
from langgraph.store.base import BaseStore
from pydantic import BaseModel
from starlette.requests import Request

from agent_runtime.langgraph_server.assistants import Assistants
from agent_runtime.langgraph_server.commands import Commands
from agent_runtime.langgraph_server.edge import Bodies, ClientRoute, caller_of, refuse_forms
from agent_runtime.langgraph_server.repeats import key_of
from agent_runtime.langgraph_server.service import Runs
from agent_runtime.langgraph_server.thread_streams import ThreadStreams
from agent_runtime.langgraph_server.threads import CallersThreads
from agent_runtime.turns.once import MessageKey
from groundwork.http.hosts import OwnHosts
from groundwork.http.idempotency import PARAMETER
from groundwork.http.known_tokens import KnownTokens
from groundwork.http.load import Load
from groundwork.http.openapi import inline_schema


@dataclass(frozen=True)
class Face:
    """What the routes answer from."""

    assistants: Assistants
    threads: CallersThreads
    runs: Runs
    callers: KnownTokens
    load: Load
    bodies: Bodies
    own_hosts: OwnHosts
    store: BaseStore | None
    streams: ThreadStreams
    commands: Commands

    async def admit(self, request: Request) -> None:
        """Let in who may call, before anything else is looked at."""
        request.state.caller = caller_of(request, self.callers, self.own_hosts)
        refuse_forms(request)

    async def take_turns(self) -> AsyncIterator[None]:
        """Let in as many at a time as the load allows."""
        with self.load.one_more():
            yield

    def caller(self, request: Request) -> str:
        """Return who was let in."""
        name: str = request.state.caller
        return name

    def once(self, request: Request, body: BaseModel, part: str = "") -> MessageKey | None:
        """Return under which key the run may be asked for again; see `repeats.key_of`."""
        return key_of(request, body, agent_id=self.runs.agent_id, caller=self.caller(request), part=part)


def new_router(face: Face, tag: str, *, is_brief: bool = True) -> APIRouter:
    """Return a router for routes that need a token, where there are any, and are soon answered, if `is_brief`."""
    router = open_router(tag)
    router.dependencies.append(Depends(face.admit))
    if is_brief:
        router.dependencies.append(Depends(face.take_turns))
    # For the document only: they never refuse, `admit` does.
    router.dependencies.append(Depends(HTTPBearer(auto_error=False, scheme_name="A2A_TOKENS")))
    router.dependencies.append(Depends(APIKeyHeader(name="x-api-key", auto_error=False)))
    return router


def open_router(tag: str) -> APIRouter:
    """Return a router for routes that everybody may ask."""
    return APIRouter(route_class=ClientRoute, generate_unique_id_function=_operation_id, tags=[tag])


def body_schema(
    model: Any, *, many: bool = False, required: bool = True, repeatable: bool = False
) -> dict[str, Any]:
    """Return what the document says of a body that the route reads for itself, and of the key under which a
    `repeatable` request may be sent again."""
    schema = inline_schema(model)
    if many:
        schema = {"type": "array", "items": schema}
    described: dict[str, Any] = {"parameters": [PARAMETER]} if repeatable else {}
    return {
        **described,
        "requestBody": {"required": required, "content": {"application/json": {"schema": schema}}},
    }


def _operation_id(route: APIRoute) -> str:
    return f"langgraph_{route.name}"
