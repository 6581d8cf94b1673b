"""How much the agent's database holds."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response
from typing_extensions import TypedDict

from admin_api.deps import Agent
from admin_api.envelope import answer_of, ok
from admin_api.openapi import failures
from admin_api.parameters import NoQuery
from admin_api.routes import AdminRoute
from agent_runtime.storage.describe import describe_report

router = APIRouter(prefix="/api/v1", route_class=AdminRoute, tags=["storage"])


class TableData(TypedDict):
    rows: Annotated[int, Field(description="Estimated of large tables.")]
    bytes: Annotated[int, Field(description="With indexes.")]


class LargeThreadData(TypedDict):
    thread_id: str
    bytes: Annotated[int, Field(description="Of its rows, without their indexes.")]


class StorageData(TypedDict):
    agent_id: str | None
    bytes: int
    tables: dict[str, TableData]
    largest_threads: list[LargeThreadData]
    sampled: Annotated[bool, Field(description="The threads were looked for in a part of the tables.")]


@router.get("/storage", response_model=answer_of(StorageData), responses=failures())
async def get_storage(agent: Agent, _: NoQuery) -> Response:
    """Bytes by table of the agent's database, and its largest threads. Costs little, however much there is."""
    return ok({"agent_id": agent.agent_id, **describe_report(await agent.storage.report())})
