"""What the agent takes from the registry. Mounted only where runtime control is enabled."""

from fastapi import APIRouter, Depends
from starlette.responses import Response

from admin_api.body import refuse_forms
from admin_api.deps import AdministeredAgent, Agent
from admin_api.errors import RuntimeUnavailable
from admin_api.openapi import failures
from admin_api.parameters import NoQuery
from admin_api.routes import AdminRoute
from agent_runtime.errors import RegistryNotConfigured

router = APIRouter(route_class=AdminRoute, tags=["registry"], responses=failures(RegistryNotConfigured))


@router.get("/api/v1/registry/metadata")
@router.get("/internal/runtime-metadata", name="get_metadata_legacy")
async def get_metadata(agent: Agent, _: NoQuery) -> Response:
    """Which components the agent runs with, and their generation."""
    raise _why_unavailable(agent)


@router.post("/api/v1/registry/reload", dependencies=[Depends(refuse_forms)])
@router.post("/internal/reload", dependencies=[Depends(refuse_forms)], name="reload_legacy")
async def reload(agent: Agent, _: NoQuery) -> Response:
    """Fetches what has changed in the registry and puts it to use."""
    raise _why_unavailable(agent)


def _why_unavailable(agent: AdministeredAgent) -> Exception:
    # In this release no agent has components of a registry, whether it names a registry or not.
    if not agent.registry_configured:
        return RegistryNotConfigured()
    return RuntimeUnavailable("this release of the agent takes no components from its registry")
