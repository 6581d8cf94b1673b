"""Threads as JSON lines, for those who take them elsewhere."""

from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter
from starlette.responses import Response, StreamingResponse
from typing_extensions import TypedDict

from admin_api.deps import OwnThreads, ThreadId
from admin_api.envelope import NO_STORE
from admin_api.errors import MissingThreadId
from admin_api.openapi import THREAD_ID, Responses, failures, parameters
from admin_api.parameters import STRICT, NoQuery, query_of
from admin_api.routes import AdminRoute
from admin_api.threads import All, CallerName, require_some
from agent_runtime.errors import AgentIdRequired, InvalidValue, MemoryDisabled, ThreadNotFound, ThreadNotOurs
from agent_runtime.exports.exporting import Exports

router = APIRouter(prefix="/api/v1/memory/threads", route_class=AdminRoute, tags=["threads"])

LINES = "application/x-ndjson"

# Without a content: generators of clients warn of types that they cannot read.
_ANSWER: Responses = {200: {"description": f"JSON lines (`{LINES}`)."}}


class ExportManyQuery(TypedDict, total=False):
    __pydantic_config__ = STRICT  # type: ignore[misc]  # how pydantic configures a TypedDict

    all: All
    caller: CallerName


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses=_ANSWER | failures(MemoryDisabled, AgentIdRequired, MissingThreadId),
    openapi_extra=parameters(query=ExportManyQuery),
)
async def export_threads(
    own: OwnThreads,
    _: Annotated[None, require_some("{thread_id}/export", "export")],
    query: Annotated[ExportManyQuery, query_of(ExportManyQuery)],
) -> Response:
    """The threads that one caller has opened, or with `all=true` every thread of this agent, as JSON lines:
    messages, state and files to read, and the rows that `agent-runtime threads import` reads."""
    caller = query.get("caller")
    if caller is not None and "all" in query:
        raise InvalidValue("all", "say all=true or caller=NAME, not both")
    return await _stream(Exports(own.service.pool, own.agent_id).export_all(caller))


@router.get("//export", include_in_schema=False)
@router.get(
    "/{thread_id}/export",
    response_class=StreamingResponse,
    responses=_ANSWER | failures(MemoryDisabled, AgentIdRequired, MissingThreadId, ThreadNotFound, ThreadNotOurs),
    openapi_extra=parameters(THREAD_ID),
)
async def export_thread(own: OwnThreads, thread: ThreadId, _: NoQuery) -> Response:
    """The thread as JSON lines, as it goes on from its latest checkpoint."""
    exports = Exports(own.service.pool, own.agent_id)
    await exports.check(thread)
    return await _stream(exports.export_thread(thread))


async def _stream(lines: AsyncIterator[bytes]) -> Response:
    # The first lines are made before the answer begins, so that an error so far still gets its status.
    first: bytes = await anext(lines, b"")

    async def content() -> AsyncIterator[bytes]:
        yield first
        async for chunk in lines:
            yield chunk

    return StreamingResponse(content(), media_type=LINES, headers=NO_STORE)
