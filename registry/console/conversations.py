"""The pages of an agent's conversations: what was said, what each step changed, and their erasure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal
from urllib.parse import quote, urlencode

from fastapi import APIRouter
from pydantic import BaseModel, Field, TypeAdapter
from starlette.responses import Response

from registry.checks import Query
from registry.console.agent_calls import ask_agent
from registry.console.formatting import in_path
from registry.console.pages import AnyViewer, OperatingSender, PageRoute, Viewer, go_to
from registry.errors import InvalidRequest

router = APIRouter(prefix="/agents/{agent_id}", route_class=PageRoute, include_in_schema=False)

_PER_PAGE = 50
_STEPS_PER_PAGE = 20

ThreadId = Annotated[str, Field(min_length=1, max_length=255)]


class ConversationsQuery(Query):
    cursor: Annotated[str, Field(max_length=2048)] | None = None


class ConversationQuery(Query):
    """Which conversation is shown, and how: what was said, or the steps that led there, or the state after one."""

    thread: ThreadId
    view: Literal["messages", "steps"] = "messages"
    before: Annotated[str, Field(max_length=255)] | None = None
    step: Annotated[str, Field(max_length=255)] | None = None


class Threads(BaseModel):
    threads: list[str]
    next_cursor: str | None = None
    states: dict[str, str] = {}


class Message(BaseModel):
    role: str
    content: Any = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] = []
    tool_call_id: str | None = None


class Messages(BaseModel):
    messages: list[Message]
    next_before: int | None = None


class Change(BaseModel):
    channel: str
    value: Any = None


class Step(BaseModel):
    checkpoint_id: str
    step: int | None = None
    source: str = ""
    created_at: str
    nodes: list[str] = []
    changed: list[Change] = []
    next: list[str] = []
    asked: list[Any] = []
    error: str | None = None


class Steps(BaseModel):
    steps: list[Step]
    next_before: str | None = None


class State(BaseModel):
    values: dict[str, Any]


class Erasure(BaseModel):
    deleted: dict[str, int]
    also_deleted: dict[str, int] = {}

    @property
    def counts(self) -> dict[str, int]:
        return {table: count for table, count in {**self.deleted, **self.also_deleted}.items() if count}


_THREADS, _MESSAGES = TypeAdapter(Threads), TypeAdapter(Messages)
_STEPS, _STATE, _ERASURE = TypeAdapter(Steps), TypeAdapter(State), TypeAdapter(Erasure)


@dataclass
class Call:
    """A tool call, with what came of it where that was said."""

    name: str
    given: Any
    result: str | None = None


@dataclass
class Said:
    """A message as it is shown: its text, what it holds beside text, and the tool calls folded into it."""

    role: str
    name: str | None
    text: str
    rest: list[Any] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)


@router.get("/conversations")
async def list_conversations(viewer: AnyViewer, agent_id: str) -> Response:
    query = viewer.query(ConversationsQuery)
    asked = {"limit": _PER_PAGE, "states": "true", "cursor": query.cursor}
    page = await ask_agent(viewer, agent_id, "memory/threads", _THREADS, query=asked)
    return viewer.page("conversations.html", agent_id=agent_id, query=query, page=page, path_of=conversation_path)


@router.get("/conversation")
async def show_conversation(viewer: AnyViewer, agent_id: str) -> Response:
    query = viewer.query(ConversationQuery)
    shown: Mapping[str, Any]
    if query.view == "messages":
        asked = {"limit": _PER_PAGE, "before": query.before}
        page = await ask_agent(viewer, agent_id, _path(query.thread, "/messages"), _MESSAGES, query=asked)
        shown = {"messages": fold(page.messages), "next_before": page.next_before}
    else:
        shown = await _read_steps(viewer, agent_id, query)
    return _show(viewer, agent_id, query, **shown)


@router.post("/conversation/erase")
async def erase_conversation(viewer: OperatingSender, agent_id: str) -> Response:
    """First it says what would go; the form on that page does it."""
    thread = viewer.text("thread")
    if not thread:
        raise InvalidRequest("thread is missing: the id of the conversation")
    confirmed = viewer.text("confirmed") == "yes"
    query = {} if confirmed else {"dry_run": "true"}
    erasure = await ask_agent(viewer, agent_id, _path(thread), _ERASURE, method="DELETE", query=query)
    if confirmed:
        return go_to(f"/console/agents/{in_path(agent_id)}/conversations", "erased")
    return viewer.page("erase.html", agent_id=agent_id, thread=thread, counts=erasure.counts)


async def _read_steps(viewer: Viewer, agent_id: str, query: ConversationQuery) -> Mapping[str, Any]:
    asked = {"limit": _STEPS_PER_PAGE, "before": query.before}
    page = await ask_agent(viewer, agent_id, _path(query.thread, "/steps"), _STEPS, query=asked)
    if query.step is None:
        return {"steps": page.steps, "next_before": page.next_before}
    state = await ask_agent(viewer, agent_id, _path(query.thread, f"/steps/{in_path(query.step)}"), _STATE)
    return {"steps": page.steps, "next_before": page.next_before, "values": state.values}


def _show(viewer: Viewer, agent_id: str, query: ConversationQuery, **shown: Any) -> Response:
    values = {"messages": [], "steps": [], "next_before": None, "values": None, **shown}
    json_path = f"/agents/{in_path(agent_id)}/admin/{_path(query.thread, f'/{query.view}')}"
    return viewer.page("conversation.html", agent_id=agent_id, query=query, json_path=json_path, **values)


def conversation_path(agent_id: str, thread_id: str, **more: str) -> str:
    """The page of a conversation. Its id may be any text, so it is in the query."""
    return f"/console/agents/{in_path(agent_id)}/conversation?{urlencode({'thread': thread_id, **more})}"


def fold(messages: Sequence[Message]) -> list[Said]:
    """Return the messages, with the answers of tools folded into the calls that they answer."""
    said: list[Said] = []
    open_calls: dict[str, Call] = {}
    for message in messages:
        text, rest = _read_content(message.content)
        if message.role == "tool" and (call := open_calls.pop(message.tool_call_id or "", None)):
            call.result = text or None
            continue
        shown = Said(message.role, message.name, text, rest)
        for each in message.tool_calls:
            call = Call(str(each.get("name", "unnamed")), each.get("args"))
            open_calls[str(each.get("id"))] = call
            shown.calls.append(call)
        said.append(shown)
    return said


def _read_content(content: Any) -> tuple[str, list[Any]]:
    """The text of a message, and the blocks in it that are no text."""
    if isinstance(content, str):
        return content, []
    texts, rest = [], []
    for block in content if isinstance(content, list) else [content]:
        if isinstance(block, str):
            texts.append(block)
        elif isinstance(block, dict) and isinstance(block.get("text"), str):
            texts.append(block["text"])
        elif block is not None:
            rest.append(block)
    return "\n".join(texts), rest


def _path(thread_id: str, below: str = "") -> str:
    return f"memory/threads/{quote(thread_id, safe='')}{below}"
