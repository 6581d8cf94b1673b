"""The agent as an ASGI app: A2A, health, and whatever routers the caller adds."""

from collections.abc import Sequence
from importlib.metadata import version

from fastapi import APIRouter
from starlette.types import ASGIApp

from agent_runtime.a2a_server.decisions import Verdict
from agent_runtime.a2a_server.limits import Shedding
from agent_runtime.runtime import AgentRuntime
from agent_runtime.threads.store import ThreadState
from agent_runtime.turn_records.models import GroupBy, TurnState
from groundwork.http.asgi import HeadAsGet, RequestId
from groundwork.http.counted import Counted
from groundwork.http.cross_origin import CrossOrigin
from groundwork.http.health import serve_health
from groundwork.http.openapi import DocumentedApp
from groundwork.telemetry.tracing import traced

_ENUMS = {"Verdict": Verdict, "ThreadState": ThreadState, "TurnState": TurnState, "UsageGrouping": GroupBy}
"""What may be in the documents, by the names it gets there."""


def create_app(runtime: AgentRuntime, routers: Sequence[APIRouter] = ()) -> ASGIApp:
    """The app that callers of the agent reach. `routers` come before the A2A routes."""
    app = _app_with(runtime, routers, f"{runtime.project.card.name}: agent")
    if runtime.langgraph is not None:
        runtime.langgraph.add_routes(app)
    runtime.a2a.add_routes(app)
    turns = runtime.turns
    served: ASGIApp = Shedding(app, lambda: turns.is_full, turns.refuse)
    if runtime.settings.cors_origins:
        served = CrossOrigin(served, runtime.settings.cors_origins)
    return RequestId(HeadAsGet(traced(Counted(served, runtime.metrics.request_answered))))


def create_admin_app(runtime: AgentRuntime, routers: Sequence[APIRouter]) -> ASGIApp:
    """The app for a listener of the operator's own: the same routers and health, and no A2A."""
    served = _app_with(runtime, routers, f"{runtime.project.card.name}: admin")
    return RequestId(HeadAsGet(traced(Counted(served, runtime.metrics.request_answered))))


def _app_with(runtime: AgentRuntime, routers: Sequence[APIRouter], title: str) -> DocumentedApp:
    app = DocumentedApp(title=title, version=version("agent-sidecar"), enums=_ENUMS)
    serve_health(app, runtime.check_ready, runtime.metrics.registry)
    for router in routers:
        app.serve(router)
    return app
