"""The route of events."""

import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Annotated, Any

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from groundwork.http.json_body import to_json
from groundwork.http.openapi import DocumentedRouter
from groundwork.postgres.pool import DatabaseUnavailable
from registry.access import Principal
from registry.checks import Flag, Query
from registry.errors import Forbidden, InvalidRequest, NotFound, Unauthenticated
from registry.events.stream import KEEP_ALIVE_SECONDS, Batches
from registry.executions.models import StoredEvent
from registry.http.deps import CurrentRegistry, Reader, RegistryRoute, identify_anew, query_of
from registry.http.event_shapes import EventsAnswer, Form, show_event
from registry.http.jamjet_prefix import expects_jamjets_runtime
from registry.http.openapi import described, failures
from registry.runtime import Registry

router = DocumentedRouter(prefix="/executions", route_class=RegistryRoute, tags=["executions"])

_RECONNECT_MILLISECONDS = 1000
_EVENT_STREAM = "text/event-stream"
_LAST_EVENT_ID = "Last-Event-ID"
_LINE_BREAKS = re.compile("\x85|\u2028|\u2029".encode())

Number = Annotated[int, Field(ge=0, le=2**31 - 1)]


class EventsQuery(Query):
    """Which events, and how they are wanted."""

    after: Number = 0
    limit: Annotated[int, Field(ge=1, le=1000)] | None = None
    kind: Form | None = None
    stream: Flag = "false"


_OTHER_ANSWERS: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "All of them as JSON, or with `stream=true` one after the other as they happen",
        "content": {_EVENT_STREAM: {"schema": {"type": "string"}}},
    },
    204: {"description": "Nothing is left to be streamed: the execution has ended, and all was sent before"},
}


@router.get(
    "/{execution_id}/events",
    response_model=EventsAnswer,
    responses={**failures(NotFound), **_OTHER_ANSWERS},
    openapi_extra=described(query=EventsQuery),
)
async def list_execution_events(
    request: Request,
    principal: Reader,
    registry: CurrentRegistry,
    execution_id: str,
    query: Annotated[EventsQuery, query_of(EventsQuery)],
) -> Response:
    """What has happened in the execution, in its order: all of it, or what came `after` a number.

    With `stream=true` it goes on as server-sent events until the execution has ended; a client that was cut off
    says in `Last-Event-ID` which event it saw last. `kind=object` has the event itself in `kind`, as JamJet's
    runtime does; that is also what is answered under `/jamjet`, unless `kind=name` is asked for.
    """
    form = query.kind or ("object" if expects_jamjets_runtime(request) else "name")
    if query.stream == "true":
        return await _stream(request, registry, principal, execution_id, query, form)
    return await _list(registry, principal, execution_id, query, form)


async def _list(
    registry: Registry, principal: Principal, execution_id: str, query: EventsQuery, form: Form
) -> Response:
    # The first batch is fetched before the answer begins, so that an error so far still gets its status.
    batches = registry.events.read(principal, execution_id, query.after, query.limit)
    first: Sequence[StoredEvent] = await anext(batches, [])

    async def content() -> AsyncIterator[bytes]:
        yield b'{"events": [' + to_json([show_event(event, form) for event in first])[1:-1]
        async for batch in batches:
            yield b", " + to_json([show_event(event, form) for event in batch])[1:-1]
        yield b"]}"

    return StreamingResponse(content(), media_type="application/json", headers={"Cache-Control": "no-store"})


async def _stream(
    request: Request,
    registry: Registry,
    principal: Principal,
    execution_id: str,
    query: EventsQuery,
    form: Form,
) -> Response:
    if query.limit is not None:
        raise InvalidRequest("limit: a stream has none")
    seen = _last_event_id(request)
    after = query.after if seen is None else seen
    progress, _ = await registry.executions.list_events(principal, execution_id, after, 0)
    if seen is not None and progress.has_ended and after >= progress.last_sequence:
        return Response(status_code=204)  # browsers come back for ever otherwise

    async def still_admitted() -> bool:
        try:
            await identify_anew(request, registry)
        except (Unauthenticated, Forbidden):
            return False
        except DatabaseUnavailable:
            return True  # nobody can tell, and nothing is read meanwhile either
        return True

    return StreamingResponse(
        _server_sent(registry.events.follow(principal, execution_id, after), form, still_admitted),
        media_type=_EVENT_STREAM,
        headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"},
    )


async def _server_sent(
    batches: Batches, form: Form, still_admitted: Callable[[], Awaitable[bool]]
) -> AsyncIterator[bytes]:
    """Ends when the batches do, and when whoever reads them is let in no more."""
    yield b"retry: %d\n\n" % _RECONNECT_MILLISECONDS
    checked = time.monotonic()
    async for batch in batches:
        if time.monotonic() - checked >= KEEP_ALIVE_SECONDS:
            if not await still_admitted():
                return
            checked = time.monotonic()
        if not batch:
            yield b": nothing new\n\n"
        for event in batch:
            yield b"id: %d\ndata: %s\n\n" % (event.sequence, _on_one_line(to_json(show_event(event, form))))


def _on_one_line(data: bytes) -> bytes:
    """Many a client takes every line break of Unicode for the end of a line, also those that JSON lets stand."""
    return _LINE_BREAKS.sub(lambda found: b"\\u%04x" % ord(found[0].decode()), data)


def _last_event_id(request: Request) -> int | None:
    """Raises `InvalidRequest`."""
    text = request.headers.get(_LAST_EVENT_ID)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        raise InvalidRequest(f"{_LAST_EVENT_ID}: accepted: the id of an event that this stream has sent")
    return int(text)
