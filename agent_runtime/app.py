"""The agent as an ASGI app: A2A, health, and whatever routers the caller adds."""

from collections.abc import Sequence
from importlib.metadata import version

from fastapi import APIRouter, FastAPI

from agent_runtime.runtime import AgentRuntime
from groundwork.asgi import RequestId
from groundwork.health import health_routes


def create_app(runtime: AgentRuntime, routers: Sequence[APIRouter] = ()) -> FastAPI:
    """The app that callers of the agent reach. `routers` are included before the A2A routes."""
    app = _bare_app(runtime, f"{runtime.project.card.name}: agent")
    for router in (health_routes(runtime.check_ready, runtime.metrics.registry), *routers):
        app.include_router(router)
    runtime.a2a.add_routes(app)
    app.add_middleware(RequestId)
    return app


def create_admin_app(runtime: AgentRuntime, routers: Sequence[APIRouter]) -> FastAPI:
    """The app for a listener of the operator's own: the same routers and health, and no A2A."""
    app = _bare_app(runtime, f"{runtime.project.card.name}: admin")
    for router in (health_routes(runtime.check_ready, runtime.metrics.registry), *routers):
        app.include_router(router)
    app.add_middleware(RequestId)
    return app


def _bare_app(runtime: AgentRuntime, title: str) -> FastAPI:
    return FastAPI(title=title, version=version("agent-sidecar"), docs_url=None, redoc_url=None)
