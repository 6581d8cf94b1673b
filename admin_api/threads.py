"""The agent's threads: which there are, what was said in them, and their erasure."""

from collections.abc import AsyncIterator
from typing import Annotated, Any, NotRequired

from fastapi import APIRouter, Depends
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from typing_extensions import TypedDict

from admin_api.deps import OwnedThreads, OwnThreads, ThreadId
from admin_api.envelope import NO_STORE, answer_of, ok
from admin_api.errors import MissingThreadId
from admin_api.openapi import THREAD_ID, failures, parameters
from admin_api.parameters import DECIMAL, STRICT, query_of
from admin_api.routes import AdminRoute
from agent_runtime.errors import (
    AgentIdRequired,
    InvalidValue,
    MemoryDisabled,
    ThreadNotFound,
    ThreadNotOurs,
    ThreadUnreadable,
)
from agent_runtime.threads.erasure import Erasure
from agent_runtime.threads.messages import describe_message
from agent_runtime.threads.store import ThreadState
from groundwork.http.json_body import to_json

router = APIRouter(prefix="/api/v1/memory/threads", route_class=AdminRoute, tags=["threads"])

DEFAULT_LIMIT = 100
"""How long a page is when a request asks for one without saying how long."""

Limit = Annotated[int, Field(ge=1, le=1000, description="an integer from 1 to 1000"), DECIMAL]


class ThreadsQuery(TypedDict, total=False):
    __pydantic_config__ = STRICT  # type: ignore[misc]  # how pydantic configures a TypedDict

    limit: Limit
    cursor: Annotated[str, Field(description="the next_cursor of the page before")]
    states: Annotated[str, Field(description="true or false", pattern="^(true|false)$")]


class MessagesQuery(TypedDict, total=False):
    __pydantic_config__ = STRICT  # type: ignore[misc]  # how pydantic configures a TypedDict

    limit: Limit
    before: Annotated[int, Field(ge=0, le=2**31 - 1, description="the next_before of the page after"), DECIMAL]


DryRun = Annotated[str, Field(description="true or false", pattern="^(true|false)$")]
"""With `true` nothing is erased: the answer counts what would be."""


All = Annotated[str, Field(description="true", pattern="^true$")]

CallerName = Annotated[
    str, Field(description="the name of a caller, 1 to 255 characters", min_length=1, max_length=255)
]


class EraseQuery(TypedDict, total=False):
    __pydantic_config__ = STRICT  # type: ignore[misc]  # how pydantic configures a TypedDict

    dry_run: DryRun


class EraseManyQuery(TypedDict, total=False):
    __pydantic_config__ = STRICT  # type: ignore[misc]  # how pydantic configures a TypedDict

    all: All
    caller: CallerName
    dry_run: DryRun


class ThreadsData(TypedDict):
    agent_id: str
    threads: list[str]
    next_cursor: NotRequired[Annotated[str | None, Field(description="Only on a page; null on the last one.")]]
    states: NotRequired[Annotated[dict[str, ThreadState], Field(description="By thread; only with states=true.")]]


class MessageData(TypedDict):
    role: str
    content: Any
    tool_calls: NotRequired[list[dict[str, Any]]]
    tool_call_id: NotRequired[str]
    name: NotRequired[str]


class MessagesData(TypedDict):
    thread_id: str
    messages: list[MessageData]
    next_before: NotRequired[Annotated[int | None, Field(description="Only on a page; null on the first one.")]]


class DeletedRows(TypedDict):
    checkpoints: int
    checkpoint_blobs: int
    checkpoint_writes: int
    persistent_memory: int


class ThreadErasureData(TypedDict):
    thread_id: str
    deleted: DeletedRows
    also_deleted: Annotated[dict[str, int], Field(description="The rows of every other table, by table.")]
    peers: NotRequired[Annotated[list[str], Field(description="The peers that were asked; only if any were.")]]
    dry_run: NotRequired[Annotated[bool, Field(description="Nothing was erased; only with dry_run=true.")]]


class AgentErasureData(TypedDict):
    agent_id: str
    caller: NotRequired[Annotated[str, Field(description="Whose threads; only with caller.")]]
    deleted: DeletedRows
    also_deleted: dict[str, int]
    peers: NotRequired[list[str]]
    dry_run: NotRequired[bool]


@router.get(
    "",
    response_model=answer_of(ThreadsData),
    responses=failures(MemoryDisabled, AgentIdRequired),
    openapi_extra=parameters(query=ThreadsQuery),
)
async def list_threads(own: OwnThreads, page: Annotated[ThreadsQuery, query_of(ThreadsQuery)]) -> Response:
    """The agent's threads in order of creation: all of them, or a page of them with `limit`, `cursor` or `states`.

    With `states=true` the page says of each thread whether it is idle, busy, interrupted (a task waits for input)
    or in error (its last turn failed).
    """
    if not page:
        return await _stream_all(own)
    found = await own.service.list_threads(
        page.get("limit", DEFAULT_LIMIT), page.get("cursor"), states=page.get("states") == "true"
    )
    data = {"agent_id": own.agent_id, "threads": found.threads, "next_cursor": found.next_cursor}
    return ok(data if found.states is None else data | {"states": found.states})


@router.get("//messages", include_in_schema=False)
@router.get(
    "/{thread_id}/messages",
    response_model=answer_of(MessagesData),
    responses=failures(
        MemoryDisabled, AgentIdRequired, MissingThreadId, ThreadNotFound, ThreadNotOurs, ThreadUnreadable
    ),
    openapi_extra=parameters(THREAD_ID, query=MessagesQuery),
)
async def get_thread_messages(
    own: OwnThreads, thread: ThreadId, page: Annotated[MessagesQuery, query_of(MessagesQuery)]
) -> Response:
    """The whole conversation in order, or with `limit` or `before` a page of it, the latest first."""
    limit = page.get("limit", DEFAULT_LIMIT) if page else None
    found = await own.service.get_messages(thread, limit, page.get("before"))
    data: dict[str, Any] = {
        "thread_id": thread,
        "messages": [describe_message(message) for message in found.messages],
    }
    return ok(data | {"next_before": found.next_before} if page else data)


@router.delete("/", include_in_schema=False)
@router.delete(
    "/{thread_id}",
    response_model=answer_of(ThreadErasureData),
    responses=failures(MemoryDisabled, AgentIdRequired, MissingThreadId, ThreadNotFound, ThreadNotOurs),
    openapi_extra=parameters(THREAD_ID, query=EraseQuery),
)
async def delete_thread(
    own: OwnThreads, thread: ThreadId, query: Annotated[EraseQuery, query_of(EraseQuery)]
) -> Response:
    """Erases the thread and everything that is stored of it; a turn running on it can write no more. With
    `dry_run=true` it counts what it would erase."""
    dry_run = query.get("dry_run") == "true"
    erasure = await own.service.delete_thread(thread, dry_run=dry_run)
    return ok({"thread_id": thread, **_receipt(erasure, dry_run)})


def require_some(path: str, verb: str) -> Any:
    """Refuse a call that could be meant for one thread and whose name was left out: `verb` is what would happen to
    all of them, and `path` is that of one. Raises `MissingThreadId`."""

    async def check(request: Request) -> None:
        given = request.query_params
        if "true" not in given.getlist("all") and "caller" not in given:
            raise MissingThreadId(
                f"name a thread, as in /memory/threads/{path}, or say ?all=true to {verb} them all, or"
                f" ?caller=NAME to {verb} those of one caller"
            )

    return Depends(check)


@router.delete(
    "",
    response_model=answer_of(AgentErasureData),
    responses=failures(MemoryDisabled, AgentIdRequired, MissingThreadId),
    openapi_extra=parameters(query=EraseManyQuery),
)
async def delete_threads(
    own: OwnThreads,
    _: Annotated[None, require_some("{thread_id}", "delete")],
    query: Annotated[EraseManyQuery, query_of(EraseManyQuery)],
) -> Response:
    """Erases every thread of this agent with `all=true`, or with `caller` those that one caller has opened, and
    none of any other agent. With `dry_run=true` it counts what it would erase."""
    dry_run, caller = query.get("dry_run") == "true", query.get("caller")
    if caller is None:
        erasure = await own.service.delete_all(dry_run=dry_run)
        return ok({"agent_id": own.agent_id, **_receipt(erasure, dry_run)})
    if "all" in query:
        raise InvalidValue("all", "say all=true or caller=NAME, not both")
    erasure = await own.service.delete_of_caller(caller, dry_run=dry_run)
    return ok({"agent_id": own.agent_id, "caller": caller, **_receipt(erasure, dry_run)})


def _receipt(erasure: Erasure, dry_run: bool) -> dict[str, Any]:
    counts: dict[str, Any] = {"deleted": erasure.deleted, "also_deleted": erasure.also_deleted}
    if erasure.peers:
        counts["peers"] = sorted(erasure.peers)
    return counts | {"dry_run": True} if dry_run else counts


async def _stream_all(own: OwnedThreads) -> Response:
    # The first page is fetched before the answer begins, so that an error so far still gets its status.
    pages = own.service.stream_threads()
    first: list[str] = await anext(pages, [])

    async def content() -> AsyncIterator[bytes]:
        head = to_json(own.agent_id)
        yield b'{"success": true, "data": {"agent_id": ' + head + b', "threads": [' + _items(first)
        async for page in pages:
            yield b", " + _items(page)
        yield b']}, "error": null}'

    return StreamingResponse(content(), media_type="application/json", headers=NO_STORE)


def _items(thread_ids: list[str]) -> bytes:
    return to_json(thread_ids)[1:-1]
