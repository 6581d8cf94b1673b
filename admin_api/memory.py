"""How much of a conversation the model sees."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import Field, TypeAdapter
from starlette.responses import Response
from typing_extensions import TypedDict

from admin_api.body import JsonObject
from admin_api.deps import AdministeredAgent, Agent, require_memory
from admin_api.envelope import answer_of, ok
from admin_api.errors import InvalidBody, NothingToChange, PayloadTooLarge
from admin_api.openapi import body, failures
from admin_api.parameters import STRICT, NoQuery, check
from admin_api.routes import AdminRoute
from agent_runtime.errors import ImmutableField, MemoryDisabled
from agent_runtime.memory.config import SUMMARIZE_THRESHOLD_RANGE, WINDOW_SIZE_RANGE

router = APIRouter(prefix="/api/v1/memory", route_class=AdminRoute, tags=["memory"])

IMMUTABLE_FIELDS = ("enabled", "backend", "postgres_dsn")


def _integer_in(accepted: range) -> Any:
    first, last = accepted[0], accepted[-1]
    return Field(ge=first, le=last, description=f"an integer from {first} to {last}")


class MemoryChanges(TypedDict, total=False):
    __pydantic_config__ = STRICT  # type: ignore[misc]  # how pydantic configures a TypedDict

    summarize: Annotated[bool, Field(description="true or false")]
    window_size: Annotated[int, _integer_in(WINDOW_SIZE_RANGE)]
    summarize_threshold: Annotated[int, _integer_in(SUMMARIZE_THRESHOLD_RANGE)]


class MemoryConfigData(TypedDict):
    enabled: bool
    backend: str
    postgres_dsn: str
    summarize: bool
    window_size: int
    summarize_threshold: int


_CHANGES = TypeAdapter(MemoryChanges)


async def read_changes(given: JsonObject) -> MemoryChanges:
    """The wanted changes. What is unknown or of the wrong type is refused first, then what cannot change."""
    immutable = [name for name in IMMUTABLE_FIELDS if name in given]
    changes = check(_CHANGES, {name: value for name, value in given.items() if name not in immutable})
    if immutable:
        raise ImmutableField(immutable)
    if not changes:
        raise NothingToChange(f"nothing to change; accepted: {', '.join(MemoryChanges.__annotations__)}")
    return changes


@router.get("/config", response_model=answer_of(MemoryConfigData), responses=failures())
async def get_memory_config(agent: Agent, _: NoQuery) -> Response:
    """The configuration in force; shown while memory is disabled, too."""
    return ok(_describe(agent))


@router.patch(
    "/config",
    dependencies=[Depends(require_memory)],
    response_model=answer_of(MemoryConfigData),
    responses=failures(MemoryDisabled, InvalidBody, PayloadTooLarge, ImmutableField),
    openapi_extra=body(MemoryChanges, minProperties=1),
)
async def change_memory_config(
    agent: Agent, changes: Annotated[MemoryChanges, Depends(read_changes)], _: NoQuery
) -> Response:
    """Changes all of the given fields or none. Holds from the next model call on, in a running turn too, and
    within a second in every process of the agent."""
    await agent.live_settings.change_memory(**changes)
    return ok(_describe(agent))


def _describe(agent: AdministeredAgent) -> MemoryConfigData:
    config = agent.memory.current
    return {
        "enabled": agent.memory_enabled,
        "backend": agent.memory_backend,
        "postgres_dsn": agent.postgres_dsn,
        "summarize": config.summarize,
        "window_size": config.window_size,
        "summarize_threshold": config.summarize_threshold,
    }
