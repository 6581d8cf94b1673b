"""What an agent itself tells: connections, settings, turns and usage. It may be down, and pages say so."""

import asyncio
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter
from starlette.responses import Response

from registry.checks import Query
from registry.console.agent_calls import ask_agent
from registry.console.conversations import conversation_path
from registry.console.formatting import in_path
from registry.console.pages import AnyViewer, PageRoute, Viewer, WritingSender, go_to
from registry.errors import InvalidRequest, RegistryError

router = APIRouter(prefix="/agents/{agent_id}", route_class=PageRoute, include_in_schema=False)

_PATIENCE_SECONDS = 3.0
"""For how long a page waits for an agent whose other parts the registry knows itself."""

_PER_PAGE = 50
_STATES = ("queued", "running", "completed", "replied", "input_required", "rejected", "failed", "cancelled")


class TurnsQuery(Query):
    """Unknown states are refused by the agent, which knows them."""

    state: Annotated[str, Field(max_length=40)] | None = None
    cursor: Annotated[str, Field(max_length=255)] | None = None


class Connection(BaseModel):
    connected: bool
    url: str | None = None
    tools: int | None = None
    last_error: str | None = None
    since: str | None = None


class Status(BaseModel):
    mcp: dict[str, Connection] = {}
    a2a: dict[str, Connection] = {}


class MemoryConfig(BaseModel):
    model_config = ConfigDict(strict=True)

    enabled: bool
    backend: str = ""
    summarize: bool
    window_size: int
    summarize_threshold: int


class CardUrl(BaseModel):
    url: str


class Failure(BaseModel):
    error: str = ""
    message: str = ""
    at: str = ""
    request_id: str | None = None


class Usage(BaseModel):
    key: str = ""
    turns: int
    failed: int
    model_calls: int
    tool_calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: float | None = None


class UsageByDay(BaseModel):
    total: Usage
    usage: list[Usage]


class Turn(BaseModel):
    task_id: str
    thread_id: str
    caller: str = ""
    state: str
    accepted_at: str
    duration_ms: int | None = None
    model: str = ""
    model_calls: int = 0
    tool_calls: int = 0
    input_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    failure: Failure | None = None


class Turns(BaseModel):
    turns: list[Turn]
    next_cursor: str | None = None


_STATUS, _MEMORY, _CARD = TypeAdapter(Status), TypeAdapter(MemoryConfig), TypeAdapter(CardUrl)
_USAGE, _TURNS, _ANYTHING = TypeAdapter(UsageByDay), TypeAdapter(Turns), TypeAdapter(Any)


@dataclass(frozen=True)
class Inside:
    """What the agent tells about itself; what it does not tell is None, and `problem` says why."""

    status: Status | None = None
    memory: MemoryConfig | None = None
    card: CardUrl | None = None
    problem: str | None = None


async def look_inside(viewer: Viewer, agent_id: str) -> Inside:
    """Ask the agent about itself, and do not wait long for it."""

    async def ask(path: str, shape: TypeAdapter[Any]) -> Any:
        try:
            return await ask_agent(viewer, agent_id, path, shape, seconds=_PATIENCE_SECONDS)
        except RegistryError as error:
            return error

    answers = await asyncio.gather(ask("status", _STATUS), ask("memory/config", _MEMORY), ask("card/url", _CARD))
    problem = next((str(answer) for answer in answers if isinstance(answer, RegistryError)), None)
    status, memory, card = [None if isinstance(answer, RegistryError) else answer for answer in answers]
    return Inside(status, memory, card, problem)


@router.get("/turns")
async def list_turns(viewer: AnyViewer, agent_id: str) -> Response:
    query = viewer.query(TurnsQuery)
    asked = {"limit": _PER_PAGE, "state": query.state, "cursor": query.cursor}
    usage, page = await asyncio.gather(
        ask_agent(viewer, agent_id, "usage", _USAGE, query={"by": "day", "limit": 30}),
        ask_agent(viewer, agent_id, "turns", _TURNS, query=asked),
    )
    return viewer.page(
        "turns.html",
        agent_id=agent_id,
        query=query,
        states=_STATES,
        usage=usage,
        page=page,
        path_of=conversation_path,
    )


@router.post("/memory")
async def change_memory(viewer: WritingSender, agent_id: str) -> Response:
    changes = {
        "summarize": viewer.text("summarize") == "true",
        "window_size": viewer.whole("window_size"),
        "summarize_threshold": viewer.whole("summarize_threshold"),
    }
    await ask_agent(viewer, agent_id, "memory/config", _ANYTHING, method="PATCH", body=changes)
    return go_to(f"/console/agents/{in_path(agent_id)}", "settings")


@router.post("/card-url")
async def change_card_url(viewer: WritingSender, agent_id: str) -> Response:
    if not viewer.text("url"):
        raise InvalidRequest("url is missing: where the agent is to be reached by others")
    await ask_agent(viewer, agent_id, "card/url", _ANYTHING, method="PATCH", body={"url": viewer.text("url")})
    return go_to(f"/console/agents/{in_path(agent_id)}", "settings")
