"""The pages of agents."""

from fastapi import APIRouter
from pydantic import TypeAdapter
from starlette.responses import Response

from registry.agents.models import (
    AgentsQuery,
    Departure,
    DiscoverBody,
    Selection,
    describe_agent,
    describe_in_detail,
)
from registry.checks import check_value
from registry.console.agent_details import Inside, look_inside
from registry.console.formatting import in_path
from registry.console.pages import AnyViewer, PageRoute, WritingSender, go_to
from registry.http.agents import selection_of

router = APIRouter(prefix="/agents", route_class=PageRoute, include_in_schema=False)

_PER_PAGE = 50
_TRACED = 20
_DISCOVER = TypeAdapter(DiscoverBody)


@router.get("")
async def list_agents(viewer: AnyViewer) -> Response:
    query = viewer.query(AgentsQuery)
    limit = query.limit or _PER_PAGE
    page = await viewer.registry.agents.list_agents(
        viewer.principal, selection_of(query), min(limit, _PER_PAGE), query.cursor
    )
    return viewer.page(
        "agents.html",
        query=query,
        agents=[describe_agent(agent) for agent in page.agents],
        next_cursor=page.next_cursor,
        is_filtered=selection_of(query) != Selection(),
    )


@router.get("/{agent_id}")
async def show_agent(viewer: AnyViewer, agent_id: str) -> Response:
    agents = viewer.registry.agents
    agent = describe_in_detail(*await agents.get_agent(viewer.principal, agent_id))
    trace = await agents.list_trace(viewer.principal, agent_id, _TRACED)
    uses = await viewer.registry.components.list_uses_of_agent(viewer.principal, agent_id)
    # What is kept up to date is what the registry knows: an agent is asked once, not every two seconds.
    is_part = "x-fragment" in viewer.request.headers
    inside = Inside() if is_part or not agent["instances"] else await look_inside(viewer, agent_id)
    return viewer.page("agent.html", agent=agent, trace=trace, uses=uses, inside=inside)


@router.post("/discover")
async def discover_agent(viewer: WritingSender) -> Response:
    body = check_value(_DISCOVER, {"url": viewer.text("url")})
    agent, _ = await viewer.registry.agents.discover(viewer.principal, body.url)
    return go_to(f"/console/agents/{in_path(agent.agent_id)}", "discovered")


@router.post("/{agent_id}/activate")
async def activate_agent(viewer: WritingSender, agent_id: str) -> Response:
    await viewer.registry.agents.activate(viewer.principal, agent_id)
    return go_to(f"/console/agents/{in_path(agent_id)}", "activated")


@router.post("/{agent_id}/pause")
async def pause_agent(viewer: WritingSender, agent_id: str) -> Response:
    await viewer.registry.agents.pause(viewer.principal, agent_id)
    return go_to(f"/console/agents/{in_path(agent_id)}", "paused")


@router.post("/{agent_id}/drain")
async def drain_agent(viewer: WritingSender, agent_id: str) -> Response:
    await viewer.registry.agents.drain(viewer.principal, agent_id)
    return go_to(f"/console/agents/{in_path(agent_id)}", "draining")


@router.post("/{agent_id}/resume")
async def resume_agent(viewer: WritingSender, agent_id: str) -> Response:
    await viewer.registry.agents.resume(viewer.principal, agent_id)
    return go_to(f"/console/agents/{in_path(agent_id)}", "activated")


@router.post("/{agent_id}/deactivate")
async def deactivate_agent(viewer: WritingSender, agent_id: str) -> Response:
    await viewer.registry.agents.deactivate(viewer.principal, agent_id, Departure())
    return go_to(f"/console/agents/{in_path(agent_id)}", "deactivated")


@router.post("/{agent_id}/delete")
async def delete_agent(viewer: WritingSender, agent_id: str) -> Response:
    await viewer.registry.agents.delete(viewer.principal, agent_id)
    return go_to("/console/agents", "removed")
