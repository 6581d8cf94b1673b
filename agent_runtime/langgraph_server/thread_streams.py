"""Streams of whole threads: the frames of its runs one after the other, or the events made of them."""

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing

from starlette.responses import StreamingResponse

from agent_runtime.errors import RunNotFound, ThreadNotFound
from agent_runtime.graph.outputs import StreamFrame
from agent_runtime.langgraph_server import store
from agent_runtime.langgraph_server.feed import RunFeed
from agent_runtime.langgraph_server.protocol import RunEvents, Subscription, ThreadEvent, first_run_after
from agent_runtime.langgraph_server.runs import RunFrame
from agent_runtime.langgraph_server.store import ThreadRun
from agent_runtime.langgraph_server.streams import (
    HEARTBEAT,
    HEARTBEAT_SECONDS,
    STREAM_HEADERS,
    event_bytes,
    metadata_frame,
)
from agent_runtime.langgraph_server.thread_watch import ThreadWatch
from agent_runtime.threads.callers import get_callers_thread
from agent_runtime.turns.feed import FeedClosed
from agent_runtime.turns.stream_frames import encoded
from groundwork.postgres.pool import DatabaseUnavailable, Pool, connection

RunItem = tuple[ThreadRun, RunFrame | None]
"""A frame of a run; `None` stands before its first one."""


class ThreadStreams:
    """Shows a caller what happens in its threads, as long as it listens. What runs have streamed can be shown
    again until ten minutes after their end."""

    def __init__(self, pool: Pool, agent_id: str, feed: RunFeed, watch: ThreadWatch) -> None:
        self._pool = pool
        self._agent_id = agent_id
        self._feed = feed
        self._watch = watch

    async def join(
        self, thread_id: str, caller: str, *, after: tuple[int, int] | None, modes: Sequence[str]
    ) -> StreamingResponse:
        """Return the answer that shows the frames of all runs: those after the place `after`, or from now on.

        Raises `ThreadNotFound`.
        """
        async with connection(self._pool) as conn:
            await get_callers_thread(conn, self._agent_id, caller, thread_id)
            number, seen = after or await store.find_thread_place(conn, thread_id)
        return _answer(self._frames(thread_id, caller, number, seen, frozenset(modes)))

    def events(self, thread_id: str, caller: str, wanted: Subscription) -> StreamingResponse:
        """Return the answer that shows the events that are wanted, in a thread that need not be there yet."""
        return _answer(self._events(thread_id, caller, wanted))

    async def check_free(self, thread_id: str, caller: str) -> None:
        """Raises `ThreadNotFound` for a thread of somebody else."""
        async with connection(self._pool) as conn:
            if not await store.may_follow(conn, self._agent_id, caller, thread_id):
                raise ThreadNotFound(thread_id)

    async def _frames(
        self, thread_id: str, caller: str, number: int, seen: int, modes: frozenset[str]
    ) -> AsyncGenerator[bytes, None]:
        async with aclosing(self._items(thread_id, caller, number, seen)) as items:
            async for one in items:
                if one is None:
                    yield HEARTBEAT
                    continue
                run, item = one
                place = f"{run.number}-{item.version if item else 0}"
                if item is None:
                    if not seen or run.number > number + 1:
                        yield event_bytes(metadata_frame(run.run_id), place)
                elif item.ends:
                    done = StreamFrame("metadata", encoded({"status": "run_done", "run_id": run.run_id}))
                    yield event_bytes(done, place)
                elif _is_shown(item.frame, modes):
                    yield event_bytes(item.frame, place)

    async def _events(self, thread_id: str, caller: str, wanted: Subscription) -> AsyncGenerator[bytes, None]:
        made: RunEvents | None = None
        async with aclosing(self._items(thread_id, caller, first_run_after(wanted.since), 0)) as items:
            async for one in items:
                if one is None:
                    yield HEARTBEAT
                    continue
                run, item = one
                if item is None or made is None:
                    made = RunEvents(run)
                    shown = made.begin()
                else:
                    shown = made.read(item)
                for event in shown:
                    if wanted.wants(event):
                        yield _event(event)

    async def _items(
        self, thread_id: str, caller: str, number: int, seen: int
    ) -> AsyncGenerator[RunItem | None, None]:
        """Yield the frames of the runs after `number`, of the first one those after `seen`; `None` for each
        silence that wants a sign of life. It ends where a process stops, or the database is away: the client asks
        again."""
        yield None  # the client sees at once that it is connected
        with self._watch.watch(thread_id, caller, number) as watcher:
            while not watcher.closed:
                run = await watcher.next(HEARTBEAT_SECONDS)
                if run is None:
                    yield None
                    continue
                yield run, None
                shown = seen if run.number == number + 1 else 0
                try:
                    async with aclosing(self._run(run, shown)) as frames:
                        async for item in frames:
                            yield None if item is None else (run, item)
                except RunNotFound:
                    pass
                except (FeedClosed, DatabaseUnavailable):
                    return

    async def _run(self, run: ThreadRun, seen: int) -> AsyncGenerator[RunFrame | None, None]:
        with self._feed.follow(run.run_id, seen) as follower:
            follower.watch()
            follower.fall_behind()
            while True:
                item = await follower.next(HEARTBEAT_SECONDS)
                yield item
                if item is not None and item.ends:
                    return


def _answer(body: AsyncIterator[bytes]) -> StreamingResponse:
    return StreamingResponse(body, headers=STREAM_HEADERS, media_type="text/event-stream")


def _event(event: ThreadEvent) -> bytes:
    return event_bytes(StreamFrame(event.method, encoded(event.to_json())), event.seq)


def _is_shown(frame: StreamFrame, modes: frozenset[str]) -> bool:
    if not modes or "run_modes" in modes:
        return True
    return "state_update" in modes and frame.event in ("values", "updates", "error")


def parse_place(value: str | None) -> tuple[int, int] | None:
    """Return after which run, and which frame of the next one, `Last-Event-ID` wants to go on; -1 is before
    everything. Raises `ValueError`."""
    text = (value or "").strip()
    if not text:
        return None
    if text in ("-", "-1"):
        return 0, 0
    number, _, seen = text.partition("-")
    return int(number) - 1, int(seen or 0)
