"""What LangGraph's clients can ask of an agent, answered from its threads and turns."""

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol

from starlette.responses import Response

from agent_runtime.errors import AlreadyAccepted, GraphNotFound, RunNotFound, ThreadNotFound
from agent_runtime.graph.outputs import StreamFrame
from agent_runtime.langgraph_server import store
from agent_runtime.langgraph_server.asked import run_request
from agent_runtime.langgraph_server.assistants import Assistant, Assistants
from agent_runtime.langgraph_server.feed import RunFeed
from agent_runtime.langgraph_server.models import Json, RunCreate
from agent_runtime.langgraph_server.recorder import RunRecorder
from agent_runtime.langgraph_server.runs import RunFrame, RunRequest
from agent_runtime.langgraph_server.states import ThreadStates, result_of
from agent_runtime.langgraph_server.store import RunRow
from agent_runtime.langgraph_server.streams import FollowingResponse, Reader, as_events, metadata_frame, shown_in
from agent_runtime.langgraph_server.temporary import TemporaryThreads, ThreadEraser
from agent_runtime.langgraph_server.webhooks import Webhooks
from agent_runtime.threads.callers import ThreadRow, get_callers_thread, lock_callers_thread
from agent_runtime.turns.feed import Follower
from agent_runtime.turns.once import MessageKey, find_place
from agent_runtime.turns.stream_frames import encoded
from agent_runtime.turns.types import Turn, TurnRequest
from groundwork.postgres.pool import Pool, connection, transaction

logger = logging.getLogger(__name__)

ACTIVE = ("pending", "running")


class TurnEngine(Protocol):
    """What runs turns; see `turns.engine.Turns`."""

    async def submit(self, request: TurnRequest) -> Turn: ...

    async def cancel(self, task_id: str) -> bool: ...


class Runs:
    """The runs of an agent. Every one belongs to a caller, and nobody else is told that it exists."""

    def __init__(
        self,
        pool: Pool,
        agent_id: str,
        assistants: Assistants,
        states: ThreadStates,
        recorder: RunRecorder,
        feed: RunFeed,
        engine: TurnEngine,
        threads: ThreadEraser,
        webhooks: Webhooks,
    ) -> None:
        self._pool = pool
        self.agent_id = agent_id
        self._assistants = assistants
        self._states = states
        self._recorder = recorder
        self._feed = feed
        self._engine = engine
        self._webhooks = webhooks
        self._temporary = TemporaryThreads(feed, webhooks, threads)
        recorder.over = self._temporary.is_over
        recorder.tell = self._tell

    # Beginning one

    async def create(
        self, body: RunCreate, caller: str, thread_id: str | None, once: MessageKey | None = None
    ) -> tuple[Json, Mapping[str, str]]:
        """Begin a run in the background. Return it, and the headers that say where it is."""
        request = await self._submit(await self._request(body, caller, thread_id, once))
        run = await self._get(request.thread_id, caller, request.task_id)
        return self.describe(run), request.headers

    async def stream(
        self, body: RunCreate, caller: str, thread_id: str | None, once: MessageKey | None = None
    ) -> Response:
        """Begin a run, and return the answer that shows its frames."""
        request, following, follower = await self._begin(await self._request(body, caller, thread_id, once))
        place = request.place
        return self._events(
            request.task_id,
            following,
            follower,
            shown=shown_in(None),
            first=metadata_frame(request.task_id),
            headers={**request.headers, "Location": f"{place}/stream"},
            cancels=body.on_disconnect == "cancel",
        )

    async def wait(
        self, body: RunCreate, caller: str, thread_id: str | None, once: MessageKey | None = None
    ) -> Response:
        """Begin a run, and return the answer that has what it came to."""
        asked = await self._request(body, caller, thread_id, once, only_result=True)
        request, following, follower = await self._begin(asked)
        headers = {"Content-Location": request.place, "Location": f"{request.place}/join"}
        return self._result(
            request.task_id,
            request.thread_id,
            caller,
            following,
            follower,
            headers,
            cancels=body.on_disconnect == "cancel",
        )

    # One that is there

    async def join(self, thread_id: str, caller: str, run_id: str, *, cancels: bool = False) -> Response:
        """Return the answer that has what the run has come to, once it has."""
        await self._get(thread_id, caller, run_id)
        following, follower = self._follow(run_id)
        return self._result(run_id, thread_id, caller, following, follower, {}, cancels=cancels)

    async def join_stream(
        self,
        thread_id: str,
        caller: str,
        run_id: str,
        *,
        after: int | None,
        modes: Sequence[str] | None,
        cancels: bool,
    ) -> Response:
        """Return the answer that shows the run's frames after the one at `after`; `None`: those from now on."""
        await self._get(thread_id, caller, run_id)
        if after is None:
            async with connection(self._pool) as conn:
                seen = await store.find_last_seq(conn, run_id)
        else:
            seen = max(after, 0)
        following, follower = self._follow(run_id, seen)
        return self._events(
            run_id,
            following,
            follower,
            shown=shown_in(modes),
            first=metadata_frame(run_id) if after is not None and after < 0 and modes is None else None,
            headers={},
            cancels=cancels,
        )

    async def get(self, thread_id: str, caller: str, run_id: str) -> Json:
        """Raises `RunNotFound`, `ThreadNotFound`."""
        return self.describe(await self._get(thread_id, caller, run_id))

    async def list_runs(
        self, thread_id: str, caller: str, *, status: str | None, limit: int, offset: int
    ) -> Sequence[Json]:
        async with connection(self._pool) as conn:
            thread = await get_callers_thread(conn, self.agent_id, caller, thread_id)
            rows = await store.list_runs(
                conn, thread_id, thread.owner_key, status=status, limit=limit, offset=offset
            )
        return [self.describe(_of_thread(row, thread)) for row in rows]

    async def cancel(self, thread_id: str, caller: str, run_id: str, *, undo: bool) -> bool:
        """End the run where it is; with `undo` it is to have never been. Return whether it was going on."""
        await self._get(thread_id, caller, run_id)
        if not undo:
            return await self._engine.cancel(run_id)
        return await asyncio.shield(asyncio.create_task(self._undo(thread_id, caller, run_id)))

    async def delete(self, thread_id: str, caller: str, run_id: str) -> None:
        """Raises `RunNotFound`, `ThreadNotFound`."""
        await self._get(thread_id, caller, run_id)
        await self._engine.cancel(run_id)
        async with transaction(self._pool) as conn:
            owner_key = await lock_callers_thread(conn, self.agent_id, caller, thread_id)
            announce = await self._recorder.removed(conn, owner_key, run_id)
        announce()

    async def list_active(
        self, caller: str, thread_id: str | None, statuses: Sequence[str]
    ) -> list[tuple[str, str]]:
        """The caller's runs that are in flight, each with its thread."""
        async with connection(self._pool) as conn:
            return await store.list_active_runs(conn, self.agent_id, caller, thread_id, statuses)

    def describe(self, run: RunRow) -> Json:
        assistant = self._assistant_of(run.graph_id)
        return {
            "run_id": run.run_id,
            "thread_id": run.thread_id,
            "assistant_id": assistant.assistant_id,
            "created_at": run.created_at,
            "updated_at": run.updated_at,
            "status": run.status,
            "metadata": run.metadata or {"graph_id": assistant.graph_id, "assistant_id": assistant.assistant_id},
            "kwargs": json.loads(run.asked) if run.asked is not None else {},
            "multitask_strategy": run.strategy or "enqueue",
            "langsmith_session_name": None,
        }

    def assistant_of(self, thread: ThreadRow) -> Assistant:
        """The assistant that has answered in the thread last; the default one before anybody has."""
        return self.assistant_in(thread.metadata)

    def assistant_in(self, metadata: Mapping[str, Any]) -> Assistant:
        """The assistant that a thread's metadata names."""
        return self._assistant_of(metadata.get("graph_id"))

    # Common ground

    def _assistant_of(self, graph_id: Any) -> Assistant:
        try:
            return self._assistants.get(str(graph_id)) if graph_id else self._assistants.default
        except GraphNotFound:  # of a release that had a graph of that name
            return self._assistants.default

    async def _request(
        self,
        body: RunCreate,
        caller: str,
        thread_id: str | None,
        once: MessageKey | None,
        *,
        only_result: bool = False,
    ) -> RunRequest:
        assistant = self._assistants.get(body.assistant_id)
        if body.webhook is not None:
            await self._webhooks.check(body.webhook)
        asked = run_request(body, assistant, thread_id=thread_id, caller=caller, only_result=only_result)
        return replace(asked, once=once)

    async def _submit(self, request: RunRequest) -> RunRequest:
        """Return the request, or, of one that was sent before, that with the run that it has already."""
        if request.is_temporary and request.once is None:  # else it stays as long as it may be asked for again
            self._temporary.note(request.task_id, request.thread_id)
        try:
            await self._engine.submit(request)
        except AlreadyAccepted as known:
            place = await find_place(self._pool, request.once) if request.once is not None else None
            if place is None:  # its thread was erased meanwhile
                raise RunNotFound(known.task_id) from None
            request = replace(request, thread_id=place[0], task_id=place[1])
            await self._get(request.thread_id, request.caller, request.task_id)
        except BaseException:
            self._temporary.forget(request.task_id)
            raise
        return request

    async def _begin(self, request: RunRequest) -> tuple[RunRequest, ExitStack, Follower[RunFrame]]:
        with ExitStack() as stack:
            follower = stack.enter_context(self._feed.follow(request.task_id))
            accepted = await self._submit(request)
            if accepted.task_id == request.task_id:
                follower.watch()
                return accepted, stack.pop_all(), follower
        return accepted, *self._follow(accepted.task_id)

    def _follow(self, run_id: str, seen: int = 0) -> tuple[ExitStack, Follower[RunFrame]]:
        """Follow a run that is there, from after the place `seen` on."""
        following = ExitStack()
        follower = following.enter_context(self._feed.follow(run_id, seen))
        follower.watch()
        follower.fall_behind()
        return following, follower

    async def _get(self, thread_id: str, caller: str, run_id: str) -> RunRow:
        async with connection(self._pool) as conn:
            thread = await get_callers_thread(conn, self.agent_id, caller, thread_id)
            return _of_thread(await store.get_run(conn, thread_id, thread.owner_key, run_id), thread)

    async def _undo(self, thread_id: str, caller: str, run_id: str) -> bool:
        async with transaction(self._pool) as conn:
            await lock_callers_thread(conn, self.agent_id, caller, thread_id)
            announce = await self._recorder.displace(conn, self.agent_id, run_id, undo=True)
        if announce is None:
            return False
        announce()
        return True

    # Answers

    def _events(
        self,
        run_id: str,
        following: ExitStack,
        follower: Follower[RunFrame],
        *,
        shown: Any,
        first: StreamFrame | None,
        headers: Mapping[str, str],
        cancels: bool,
    ) -> Response:
        reader = Reader(follower)

        async def body() -> AsyncGenerator[bytes, None]:
            async for part in as_events(reader.frames(), shown, first):
                yield part
            if reader.has_ended:
                await self._temporary.remove(run_id)

        return FollowingResponse(
            body(),
            following,
            lambda: self._left(run_id, reader, cancels),
            media_type="text/event-stream",
            headers=headers,
        )

    def _result(
        self,
        run_id: str,
        thread_id: str,
        caller: str,
        following: ExitStack,
        follower: Follower[RunFrame],
        headers: Mapping[str, str],
        *,
        cancels: bool,
    ) -> Response:
        reader = Reader(follower)

        async def body() -> AsyncGenerator[bytes, None]:
            last: StreamFrame | None = None
            async for item in reader.frames():
                if item is None:
                    yield b"\n"
                elif item.frame.event in ("values", "error"):
                    last = item.frame
            answer = await self._answer(last, thread_id, caller, run_id)
            if reader.has_ended:
                await self._temporary.remove(run_id)
            yield answer.encode("utf-8", "replace")

        return FollowingResponse(
            body(),
            following,
            lambda: self._left(run_id, reader, cancels),
            media_type="application/json",
            headers=headers,
        )

    async def _answer(self, last: StreamFrame | None, thread_id: str, caller: str, run_id: str) -> str:
        """What a run has come to, by its last frame, or else by the state of its thread."""
        if last is not None and last.event == "error":
            return f'{{"__error__": {last.data}}}'
        if last is not None:
            return last.data
        try:
            async with connection(self._pool) as conn:
                thread = await get_callers_thread(conn, self.agent_id, caller, thread_id)
                error = await store.find_error(conn, run_id)
        except ThreadNotFound:
            return "{}"
        if error is not None:
            return encoded({"__error__": error})
        return encoded(result_of(await self._states.get(self.assistant_of(thread), {"thread_id": thread_id})))

    async def _left(self, run_id: str, reader: "Reader", cancels: bool) -> None:
        if cancels and not reader.is_done:
            logger.info("run cancelled, its client has left run_id=%s", run_id)
            await self._engine.cancel(run_id)

    # Runs whose end is told

    def _tell(self, turn: Turn, webhook: str) -> None:
        self._webhooks.send(turn.task_id, turn.caller, webhook, lambda: self._report(turn))

    async def _report(self, turn: Turn) -> bytes:
        """What a webhook is told of a run that has ended."""
        async with connection(self._pool) as conn:
            thread = await get_callers_thread(conn, self.agent_id, turn.caller, turn.thread_id)
            run = await store.get_run(conn, turn.thread_id, thread.owner_key, turn.task_id)
            error = await store.find_error(conn, turn.task_id)
        state = await self._states.get(self.assistant_of(thread), {"thread_id": turn.thread_id})
        told = {
            **self.describe(run),
            "run_started_at": run.created_at,
            "run_ended_at": run.updated_at,
            "webhook_sent_at": datetime.now(UTC),
            "values": result_of(state),
        }
        return encoded(told if error is None else {**told, "error": error}).encode("utf-8", "replace")


def _of_thread(run: RunRow, thread: ThreadRow) -> RunRow:
    """A run that came in over A2A is of the graph that answers in its thread."""
    return run if run.graph_id else replace(run, graph_id=thread.metadata.get("graph_id"))
