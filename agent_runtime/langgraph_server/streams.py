"""Answers that go on while a run does: frames as they come, or blanks and then what the run came to."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack

import anyio
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from agent_runtime.errors import InvalidValue, RunNotFound
from agent_runtime.graph.outputs import StreamFrame
from agent_runtime.langgraph_server.runs import RunFrame
from agent_runtime.turns.feed import FeedClosed, Follower
from agent_runtime.turns.stream_frames import encoded
from groundwork.postgres.pool import DatabaseUnavailable

HEARTBEAT_SECONDS = 5.0
HEARTBEAT = b": heartbeat\r\n\r\n"
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}

FROM_THE_START = 0
BEFORE_ALL = -1


class FollowingResponse(StreamingResponse):
    """A streamed answer that closes what it follows by, however it ends. `left` is told whether it went to its
    end, and is not cut short by a client that goes."""

    def __init__(
        self,
        body: AsyncGenerator[bytes, None],
        following: ExitStack,
        left: Callable[[], Awaitable[None]],
        *,
        media_type: str,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(body, headers={**STREAM_HEADERS, **headers}, media_type=media_type)
        self._body = body
        self._following = following
        self._left = left

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            with anyio.CancelScope(shield=True):
                await self._body.aclose()
                self._following.close()
                await self._left()


async def frames_of(follower: Follower[RunFrame]) -> AsyncGenerator[RunFrame | None, None]:
    """Yield the frames of a run to its end, and `None` for each silence that wants a sign of life.

    A run that is gone has no more frames; and a process that stops, or a database that is away, ends the stream
    where it is: the client asks for the rest.
    """
    while True:
        try:
            item = await follower.next(HEARTBEAT_SECONDS)
        except (RunNotFound, FeedClosed, DatabaseUnavailable):
            return
        yield item
        if item is not None and item.ends:
            return


class Reader:
    """How far a run's frames were read: to the run's end (`has_ended`), or as far as they could be (`is_done`)."""

    def __init__(self, follower: Follower[RunFrame]) -> None:
        self._follower = follower
        self.has_ended = False
        self.is_done = False

    async def frames(self) -> AsyncGenerator[RunFrame | None, None]:
        async for item in frames_of(self._follower):
            self.has_ended |= item is not None and item.ends
            yield item
        self.is_done = True


async def as_events(
    frames: AsyncGenerator[RunFrame | None, None], shown: Callable[[StreamFrame], bool], first: StreamFrame | None
) -> AsyncGenerator[bytes, None]:
    """Yield server-sent events: `first`, and then the frames that are to be shown."""
    if first is not None:
        yield event_bytes(first)
    async for item in frames:
        if item is None:
            yield HEARTBEAT
        elif not item.ends and shown(item.frame):
            yield event_bytes(item.frame, item.version)


def shown_in(modes: Sequence[str] | None) -> Callable[[StreamFrame], bool]:
    """Return what says whether a reader of these stream modes is shown a frame; `None` are all."""
    if modes is None:
        return lambda frame: True
    wanted = {"messages" if mode == "messages-tuple" else mode for mode in modes} | {"error"}

    def is_shown(frame: StreamFrame) -> bool:
        name = frame.event.partition("|")[0]
        return name in wanted or (name.startswith("messages/") and "messages" in modes)

    return is_shown


def event_bytes(frame: StreamFrame, place: int | str | None = None) -> bytes:
    """Return the frame as a server-sent event."""
    lines = [f"event: {frame.event}", f"data: {frame.data}"]
    if place is not None:
        lines.append(f"id: {place}")
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8", "replace")


def check_place(value: str | None) -> int | None:
    """Return the place in a stream that `Last-Event-ID` names; -1 is before everything. Raises `InvalidValue`."""
    if value is None or not value.strip():
        return None
    try:
        return int(value)
    except ValueError:
        raise InvalidValue(
            "Last-Event-ID", "Last-Event-ID must be the id of an event of this stream, or -1"
        ) from None


def metadata_frame(run_id: str) -> StreamFrame:
    """Return the frame with which the stream of a run begins."""
    return StreamFrame("metadata", encoded({"run_id": run_id, "attempt": 1}))
