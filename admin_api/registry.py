"""What the agent takes from the registry. Mounted only where runtime control is enabled."""

from typing import Annotated, Any, NotRequired

from fastapi import APIRouter, Depends
from starlette.responses import Response
from typing_extensions import TypedDict

from admin_api.body import refuse_forms
from admin_api.deps import Agent
from admin_api.envelope import answer_of, ok
from admin_api.openapi import failures
from admin_api.parameters import NoQuery
from admin_api.routes import AdminRoute
from agent_runtime.components.opening import Components
from agent_runtime.components.snapshot import Piece, describe_ref
from agent_runtime.errors import RegistryNotConfigured

router = APIRouter(route_class=AdminRoute, tags=["registry"], responses=failures(RegistryNotConfigured))


class RefData(TypedDict):
    kind: str
    id: str
    version: int | None
    digest: str | None
    status: str
    error: NotRequired[str]


class MetadataData(TypedDict):
    generation: int
    refs: list[RefData]


class ReloadData(TypedDict):
    generation: int
    previous_generation: int
    reloaded: list[RefData]
    unchanged: list[RefData]
    failed: list[RefData]


async def require_components(agent: Agent) -> Components:
    if agent.components is None or not agent.components.have_registry:
        raise RegistryNotConfigured
    return agent.components


TakenComponents = Annotated[Components, Depends(require_components)]


@router.get("/api/v1/registry/metadata", response_model=answer_of(MetadataData))
@router.get(
    "/internal/runtime-metadata", name="get_registry_metadata_legacy", response_model=answer_of(MetadataData)
)
async def get_registry_metadata(_: NoQuery, components: TakenComponents) -> Response:
    """Which components of the registry the agent runs with, and the generation that they make."""
    return ok(components.metadata())


@router.post("/api/v1/registry/reload", dependencies=[Depends(refuse_forms)], response_model=answer_of(ReloadData))
@router.post(
    "/internal/reload",
    dependencies=[Depends(refuse_forms)],
    name="reload_components_legacy",
    response_model=answer_of(ReloadData),
)
async def reload_components(_: NoQuery, components: TakenComponents) -> Response:
    """Fetches what has changed in the registry and puts it to use; turns that run keep what they began with."""
    result = await components.reloads.reload()
    return ok(
        {
            "generation": result.generation,
            "previous_generation": result.previous_generation,
            "reloaded": _described(result.reloaded),
            "unchanged": _described(result.unchanged),
            "failed": _described(result.failed),
        }
    )


def _described(pieces: list[Piece]) -> list[dict[str, Any]]:
    return [describe_ref(piece) for piece in pieces]
