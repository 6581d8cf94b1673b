"""The registry as an ASGI app."""

from collections.abc import Sequence
from importlib.metadata import version
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.types import ASGIApp, Scope

from groundwork.http.asgi import BodyLimit, BodyTotal, HeadAsGet, RequestId
from groundwork.http.counted import Counted
from groundwork.http.health import serve_health
from groundwork.http.load import Busy, Load, LoadLimit
from groundwork.http.openapi import DocumentedApp, DocumentedRouter
from groundwork.telemetry.tracing import traced
from registry.access import Role
from registry.agents.lifecycle import Status as AgentStatus
from registry.agents.models import Direction
from registry.agents.models import Health as AgentHealth
from registry.artifacts.service import MAX_BYTES as MAX_ARTIFACT_BYTES
from registry.checks import Flag
from registry.components.models import Kind, State, UseStatus
from registry.decisions.models import Verdict
from registry.executions.models import Status as ExecutionStatus
from registry.http import (
    agents,
    artifacts,
    audit,
    components,
    cron,
    decisions,
    did,
    erasures,
    events,
    executions,
    gateway,
    keys,
    talks,
    tenants,
    tokens,
    usage,
    work_items,
    workers,
    workflows,
)
from registry.http.deps import LOGIN
from registry.http.errors import JsonResponse, add_error_handlers, refuse_body, respond_to
from registry.http.event_shapes import Form
from registry.http.execution_shapes import Decision
from registry.http.heartbeats import HeartbeatDoor
from registry.http.jamjet_prefix import JamJetPrefix
from registry.http.token_first import TokenFirst, tenant_of
from registry.outbound.conversation import TalkState
from registry.questions.models import Kind as QuestionKind
from registry.questions.models import State as QuestionState
from registry.runtime import Registry
from registry.tenants.models import Status as TenantStatus
from registry.tokens.models import Status as TokenStatus
from registry.usage.models import GroupBy
from registry.workers.models import WorkerStatus

VERSION = version("agent-sidecar")

_ROUTERS = (
    agents.router,
    components.reporting_router,
    components.reading_router,
    components.router,
    audit.router,
    tenants.router,
    tokens.router,
    usage.router,
    workers.router,
    work_items.router,
    workflows.router,
    executions.router,
    events.router,
    cron.router,
    decisions.router,
    artifacts.router,
    did.router,
    erasures.router,
    keys.router,
    gateway.router,
    gateway.bulk_router,
    talks.router,
)

_ENUMS = {
    "AgentHealth": AgentHealth,
    "AgentStatus": AgentStatus,
    "ComponentKind": Kind,
    "ComponentState": State,
    "ComponentUseStatus": UseStatus,
    "Decision": Decision,
    "EventForm": Form,
    "ExecutionStatus": ExecutionStatus,
    "Flag": Flag,
    "GroupBy": GroupBy,
    "QuestionKind": QuestionKind,
    "QuestionState": QuestionState,
    "Role": Role,
    "TalkState": TalkState,
    "TenantStatus": TenantStatus,
    "TokenStatus": TokenStatus,
    "TraceDirection": Direction,
    "Verdict": Verdict,
    "WorkerStatus": WorkerStatus,
}
"""By their names in the OpenAPI document."""


class RegistryHealth(BaseModel):
    status: Literal["ok"] = "ok"
    version: str = VERSION


_router = DocumentedRouter(tags=["operations"])


def create_app(registry: Registry, faces: Sequence[APIRouter] = ()) -> ASGIApp:
    """The app that clients of the registry reach; `faces` are what else it serves beside the API."""
    app = DocumentedApp(title="Agent registry", version=VERSION, redirect_slashes=False, enums=_ENUMS)
    app.state.registry = registry
    add_error_handlers(app)
    app.serve(_router)
    serve_health(app, registry.check_ready, registry.metrics.registry)
    for router in (*_ROUTERS, *faces):
        app.serve(router)
    limit = registry.settings.jamjet_max_body_bytes

    def limit_for(scope: Scope) -> int:
        path = scope["path"].removeprefix(scope.get("root_path", ""))
        if path == LOGIN:
            return _LONGEST_LOGIN
        is_artifact = scope["method"] == "POST" and path == "/artifacts"
        return max(limit, MAX_ARTIFACT_BYTES) if is_artifact else limit

    load = Load(registry.settings.max_requests, registry.pool)
    registry.metrics.watch_refusals(lambda: load.refused)
    limited = LoadLimit(HeartbeatDoor(app, registry), load, _is_work, respond_to, tenant_of)
    bounded = BodyLimit(limited, limit_for, refuse_body, BodyTotal(), lambda scope: respond_to(Busy()))
    admitted = TokenFirst(bounded, registry, lambda scope: load.is_full and _is_work(scope))
    counted = Counted(admitted, registry.metrics.request_answered)
    return RequestId(HeadAsGet(JamJetPrefix(traced(counted))))


def _is_work(scope: Scope) -> bool:
    """Whoever looks after the registry is answered in any case, and so is a sign of life: it costs little, and
    without it whoever sends it would be taken for dead."""
    path: str = scope["path"].removeprefix(scope.get("root_path", ""))
    return path not in _LOOKED_AFTER and not path.endswith("/heartbeat")


_LONGEST_LOGIN = 8 * 1024
"""Of bytes: the one body that is read of somebody who is not known yet."""

_LOOKED_AFTER = frozenset({"/health", "/healthz", "/readyz", "/metrics", "/openapi.json"})


@_router.get("/health", summary="The process is up", response_model=RegistryHealth)
async def get_health() -> JsonResponse:
    return JsonResponse(RegistryHealth().model_dump())
