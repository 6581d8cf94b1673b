"""Moving threads to another agent id."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from admin_api.body import body_of
from admin_api.deps import OwnThreads
from admin_api.envelope import answer_of, ok
from admin_api.errors import InvalidBody, PayloadTooLarge
from admin_api.openapi import body, failures
from admin_api.parameters import NoQuery, Parameters
from admin_api.routes import AdminRoute
from agent_runtime.errors import AgentIdRequired, AgentStillAlive, MemoryDisabled, MigrationConcernsOthers

router = APIRouter(prefix="/api/v1/memory", route_class=AdminRoute, tags=["threads"])

AgentId = Annotated[
    str,
    Field(
        min_length=1,
        max_length=255,
        # In the document only; what is accepted is decided by `Threads.migrate_agent_id`.
        json_schema_extra={"pattern": r"^[^\s/\\]+$"},
        description="an agent id: 1 to 255 printable characters without blanks or slashes",
    ),
]


class MigrationBody(Parameters):
    old_id: AgentId
    new_id: AgentId
    force: Annotated[bool, Field(description="true or false: true moves the threads of a live agent, too")] = False


class MigrationData(TypedDict):
    old_id: str
    new_id: str
    migrated_threads: int


@router.post(
    "/migrate-agent-id",
    response_model=answer_of(MigrationData),
    responses=failures(
        MemoryDisabled, AgentIdRequired, InvalidBody, PayloadTooLarge, MigrationConcernsOthers, AgentStillAlive
    ),
    openapi_extra=body(MigrationBody),
)
async def migrate_agent_id(
    own: OwnThreads, wanted: Annotated[MigrationBody, body_of(MigrationBody)], _: NoQuery
) -> Response:
    """Moves all threads of `old_id` to `new_id` at once, with their memory; one of the ids is this agent's."""
    moved = await own.service.migrate_agent_id(wanted.old_id, wanted.new_id, wanted.force)
    return ok({"old_id": wanted.old_id, "new_id": wanted.new_id, "migrated_threads": moved})
