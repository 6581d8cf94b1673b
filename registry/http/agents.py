"""Routes of agents."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict
from typing import Annotated

from fastapi import Depends
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from groundwork.http.json_body import to_json
from groundwork.http.labels import read_label_filter
from groundwork.http.openapi import DocumentedRouter, inline_schema
from registry.access import Principal
from registry.agents.cards import Card, read_card
from registry.agents.lifecycle import Status
from registry.agents.models import (
    Agent,
    AgentChanges,
    AgentDeletedAnswer,
    AgentDetailAnswer,
    AgentRegisteredAnswer,
    AgentsAnswer,
    AgentsQuery,
    AgentStatusAnswer,
    Departure,
    DiscoverBody,
    Filters,
    Heartbeat,
    HeartbeatAnswer,
    ProcessAddress,
    SearchQuery,
    Selection,
    TraceAnswer,
    TraceQuery,
    describe_agent,
    describe_in_detail,
)
from registry.checks import check_value
from registry.errors import AgentUnreachable, Conflict, Gone, InvalidRequest, LimitReached, NotFound
from registry.http.deps import CurrentRegistry, Reader, RegistryRoute, Writer, body_of, query_of, read_json
from registry.http.errors import JsonResponse
from registry.http.openapi import described, failures
from registry.runtime import Registry
from registry.times import rfc3339

router = DocumentedRouter(prefix="/agents", route_class=RegistryRoute, tags=["agents"])

DEFAULT_LIMIT = 50
"""How long a page is when a request has a cursor and no limit."""

_SIGN_OF_LIFE = TypeAdapter(ProcessAddress)
_CARD_IN_THE_DOCUMENT = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "title": "AgentRegistration",
                    "type": "object",
                    "description": "JamJet's card, which may be partial, or A2A's; beside it, which process of the"
                    " agent registers, and how often it means to be heard of.",
                    "properties": {
                        "id": {"type": "string"},
                        "uri": {"type": "string", "format": "uri"},
                        "name": {"type": "string"},
                        "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                        **inline_schema(ProcessAddress)["properties"],
                    },
                }
            }
        },
    }
}


async def _read_registration(request: Request) -> tuple[Card, ProcessAddress]:
    """The card in the body, and what stands beside it and is no part of it."""
    body = await read_json(request)
    if not isinstance(body, Mapping):
        raise InvalidRequest("the body must be a JSON object")
    process = check_value(_SIGN_OF_LIFE, body)
    beside = ProcessAddress.model_fields
    return read_card({name: value for name, value in body.items() if name not in beside}), process


# For the document: `HeartbeatDoor` answers these before they are here.
@router.post(
    "/{agent_id}/heartbeat",
    response_model=HeartbeatAnswer,
    responses=failures(NotFound, Gone),
    openapi_extra=described(body=Heartbeat),
)
async def send_heartbeat(
    principal: Writer,
    registry: CurrentRegistry,
    agent_id: str,
    body: Annotated[Heartbeat, body_of(Heartbeat, optional=True)],
) -> Response:
    """A process of the agent lives. One that has an incarnation has to have registered with it."""
    return await answer_heartbeat(registry, principal, agent_id, body)


async def answer_heartbeat(
    registry: Registry, principal: Principal, agent_id: str, heartbeat: Heartbeat
) -> Response:
    heard = await registry.agents.heartbeat(principal, agent_id, heartbeat)
    return JsonResponse({"agent_id": agent_id, "ok": True, **asdict(heard)})


@router.post(
    "",
    status_code=201,
    response_model=AgentRegisteredAnswer,
    responses=failures(Conflict, LimitReached),
    openapi_extra=_CARD_IN_THE_DOCUMENT,
)
async def register_agent(
    principal: Writer,
    registry: CurrentRegistry,
    given: Annotated[tuple[Card, ProcessAddress], Depends(_read_registration)],
) -> Response:
    """Registers an agent by its card. With the id of one that is there, or without an id and with its URI, that
    one gets the new card and keeps its status. Without an id the name makes one, as in `research-agent`."""
    registered = await registry.agents.register(principal, *given)
    return JsonResponse(asdict(registered), 201)


@router.get("", response_model=AgentsAnswer, responses=failures(), openapi_extra=described(query=AgentsQuery))
async def list_agents(
    principal: Reader, registry: CurrentRegistry, query: Annotated[AgentsQuery, query_of(AgentsQuery)]
) -> Response:
    """The agents in the order of their ids: all of them, or a page of them with `limit` or `cursor`."""
    selection = selection_of(query)
    if query.limit is None and query.cursor is None:
        return await _stream(registry, principal, selection)
    page = await registry.agents.list_agents(principal, selection, query.limit or DEFAULT_LIMIT, query.cursor)
    return JsonResponse(
        {"agents": [describe_agent(agent) for agent in page.agents], "next_cursor": page.next_cursor}
    )


@router.post(
    "/discover",
    status_code=201,
    response_model=AgentDetailAnswer,
    responses=failures(Conflict, LimitReached, AgentUnreachable),
    openapi_extra=described(body=DiscoverBody),
)
async def discover_agent(
    principal: Writer, registry: CurrentRegistry, body: Annotated[DiscoverBody, body_of(DiscoverBody)]
) -> Response:
    """Fetches the card of an agent, from its own URL or from where cards are below an agent's URL, and registers
    it. Discovering an agent again brings its entry up to date."""
    return JsonResponse(describe_in_detail(*await registry.agents.discover(principal, body.url)), 201)


@router.get(
    "/search", response_model=AgentsAnswer, responses=failures(), openapi_extra=described(query=SearchQuery)
)
async def search_agents(
    principal: Reader, registry: CurrentRegistry, query: Annotated[SearchQuery, query_of(SearchQuery)]
) -> Response:
    """The agents with at least one of these skills, and of that trust domain, if one is named."""
    skills = [skill.strip() for skill in query.skills.split(",") if skill.strip()]
    return await _stream(registry, principal, Selection(skills=skills, trust_domain=query.trust_domain))


@router.get("/{agent_id}", response_model=AgentDetailAnswer, responses=failures(NotFound))
async def get_agent(principal: Reader, registry: CurrentRegistry, agent_id: str) -> Response:
    """The agent with its card, and the processes of it that were heard of last."""
    return JsonResponse(describe_in_detail(*await registry.agents.get_agent(principal, agent_id)))


@router.get(
    "/{agent_id}/trace",
    response_model=TraceAnswer,
    responses=failures(NotFound),
    openapi_extra=described(query=TraceQuery),
)
async def trace_agent(
    principal: Reader,
    registry: CurrentRegistry,
    agent_id: str,
    query: Annotated[TraceQuery, query_of(TraceQuery)],
) -> Response:
    """What went on with the agent, the latest first: what was decided about it, what executions asked of it."""
    events = [
        {
            "timestamp": rfc3339(traced.at),
            "direction": traced.direction,
            "event_type": traced.event_type,
            "summary": traced.summary,
        }
        for traced in await registry.agents.list_trace(principal, agent_id, query.limit)
    ]
    return JsonResponse({"agent_id": agent_id, "events": events})


@router.patch(
    "/{agent_id}",
    response_model=AgentDetailAnswer,
    responses=failures(NotFound),
    openapi_extra=described(body=AgentChanges),
)
async def change_agent(
    principal: Writer,
    registry: CurrentRegistry,
    agent_id: str,
    body: Annotated[AgentChanges, body_of(AgentChanges)],
) -> Response:
    """Changes the labels that are named; null takes one away. They hold against those that the agent registers
    with."""
    return JsonResponse(describe_in_detail(*await registry.agents.change_labels(principal, agent_id, body.labels)))


@router.delete("/{agent_id}", response_model=AgentDeletedAnswer, responses=failures(NotFound))
async def delete_agent(principal: Writer, registry: CurrentRegistry, agent_id: str) -> Response:
    """Removes the agent. One that still runs registers again."""
    await registry.agents.delete(principal, agent_id)
    return JsonResponse({"agent_id": agent_id, "deleted": True})


@router.post("/{agent_id}/activate", response_model=AgentStatusAnswer, responses=failures(NotFound))
async def activate_agent(principal: Writer, registry: CurrentRegistry, agent_id: str) -> Response:
    """From whichever status it has. The body is not looked at."""
    return _answer_status(agent_id, await registry.agents.activate(principal, agent_id))


@router.post("/{agent_id}/pause", response_model=AgentStatusAnswer, responses=failures(NotFound, Conflict))
async def pause_agent(principal: Writer, registry: CurrentRegistry, agent_id: str) -> Response:
    """An active agent is to get no work for a while: told with its next heartbeat, it finishes what runs, keeps
    what waits, and refuses what is new. The body is not looked at."""
    return _answer_status(agent_id, await registry.agents.pause(principal, agent_id))


@router.post("/{agent_id}/drain", response_model=AgentStatusAnswer, responses=failures(NotFound, Conflict))
async def drain_agent(principal: Writer, registry: CurrentRegistry, agent_id: str) -> Response:
    """As a pause, before the agent is taken out of service: `instances` of the agent say which of its processes
    have no turn in hand any more. The body is not looked at."""
    return _answer_status(agent_id, await registry.agents.drain(principal, agent_id))


@router.post("/{agent_id}/resume", response_model=AgentStatusAnswer, responses=failures(NotFound, Conflict))
async def resume_agent(principal: Writer, registry: CurrentRegistry, agent_id: str) -> Response:
    """Undoes a pause or a drain. The body is not looked at."""
    return _answer_status(agent_id, await registry.agents.resume(principal, agent_id))


@router.post(
    "/{agent_id}/deactivate",
    response_model=AgentStatusAnswer,
    responses=failures(NotFound),
    openapi_extra=described(body=Departure),
)
async def deactivate_agent(
    principal: Writer,
    registry: CurrentRegistry,
    agent_id: str,
    body: Annotated[Departure, body_of(Departure, optional=True)],
) -> Response:
    """Ends the agent. With an incarnation, that process of it: the agent goes on while another one lives."""
    return _answer_status(agent_id, await registry.agents.deactivate(principal, agent_id, body))


def _answer_status(agent_id: str, status: Status) -> Response:
    return JsonResponse({"agent_id": agent_id, "status": status})


def selection_of(query: Filters) -> Selection:
    """Return which agents the filters of a request mean."""
    return Selection(
        status=query.status,
        skills=None if query.skill is None else [query.skill],
        protocol=query.protocol,
        alive=None if query.alive is None else query.alive == "true",
        labels=None if query.label is None else read_label_filter(query.label),
    )


async def _stream(registry: Registry, principal: Principal, selection: Selection) -> Response:
    # The first batch is fetched before the answer begins, so that an error so far still gets its status.
    batches = registry.agents.stream_agents(principal, selection)
    first: list[Agent] = await anext(batches, [])

    async def content() -> AsyncIterator[bytes]:
        yield b'{"agents": [' + _items(first)
        async for batch in batches:
            yield b", " + _items(batch)
        yield b"]}"

    return StreamingResponse(content(), media_type="application/json", headers={"Cache-Control": "no-store"})


def _items(agents: list[Agent]) -> bytes:
    return to_json([describe_agent(agent) for agent in agents])[1:-1]
