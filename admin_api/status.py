"""What the agent is connected to."""

from fastapi import APIRouter
from pydantic import ConfigDict
from starlette.responses import Response
from typing_extensions import TypedDict

from admin_api.deps import Agent
from admin_api.envelope import answer_of, ok
from admin_api.openapi import failures
from admin_api.parameters import NoQuery
from admin_api.routes import AdminRoute

router = APIRouter(route_class=AdminRoute, tags=["status"])


class ConnectionState(TypedDict):
    """More is told when it is known, such as `url`, `tools`, `last_error` and `since`."""

    __pydantic_config__ = ConfigDict(extra="allow")  # type: ignore[misc]  # how pydantic configures a TypedDict

    connected: bool


class StatusData(TypedDict):
    agent_id: str | None
    mcp: dict[str, ConnectionState]
    a2a: dict[str, ConnectionState]


@router.get("/api/v1/status", response_model=answer_of(StatusData), responses=failures())
@router.get("/status", response_model=answer_of(StatusData), responses=failures(), name="get_status_legacy")
async def get_status(agent: Agent, _: NoQuery) -> Response:
    """The agent's id, and the state of its MCP servers and A2A peers."""
    states = agent.connection_status()
    return ok({"agent_id": agent.agent_id, "mcp": states["mcp"], "a2a": states["a2a"]})
