"""Keeps, beside the tasks of turns, what LangGraph's clients see of them: in the turns' own transactions."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol, TypeVar
from uuid import UUID

import psycopg

from agent_runtime.errors import ThreadBusy
from agent_runtime.graph.outputs import Failed, NeedsInput, Outcome, Output, Rejected, StreamFrame
from agent_runtime.langgraph_server import store
from agent_runtime.langgraph_server.feed import RunFeed
from agent_runtime.langgraph_server.runs import Ending, RunFrame, RunRequest, end_frame
from agent_runtime.langgraph_server.store import EndedRun
from agent_runtime.threads.callers import lock_callers_thread, mark_temporary, merge_metadata
from agent_runtime.threads.store import claim_thread
from agent_runtime.turns.once import claim_message_key
from agent_runtime.turns.store import delete_turn_of_task
from agent_runtime.turns.stream_frames import encoded
from agent_runtime.turns.types import Accepted, Announce, Turn, TurnRecorder, TurnRequest
from groundwork.postgres.checkpoint_rows import CheckpointRows
from groundwork.postgres.pool import Connection

Result = TypeVar("Result")


class TaskAccount(TurnRecorder, Protocol):
    """What keeps the tasks of turns; runs have these, too."""

    async def close_waiting(self, conn: Connection, owner_key: int, thread_id: str) -> Announce:
        """In a transaction that holds the thread: what waits for an answer there waits no longer."""
        ...

    async def removed(self, conn: Connection, owner_key: int, task_id: str) -> Announce:
        """In a transaction that holds the task's thread, where no turn works on it: the task goes."""
        ...


class RunRecorder:
    """The account of turns of an agent with both faces; see `turns.types.TurnRecorder`.

    A turn that came in over A2A is passed on as it is, and costs nothing more.
    """

    def __init__(self, tasks: TaskAccount, feed: RunFeed, runs_here: set[str]) -> None:
        self._tasks = tasks
        self._feed = feed
        self._runs_here = runs_here
        self.let_go: Callable[[int], None] = lambda turn_id: None
        """Told of each turn that another one has displaced."""
        self.accepted: Callable[[str], None] = lambda thread_id: None
        """Told of the thread of each run that was accepted."""
        self.over: Callable[[str], None] = lambda run_id: None
        """Told of each run that has ended."""
        self.tell: Callable[[Turn, str], None] = lambda turn, webhook: None
        """Told of each run whose end is to be told somewhere, before `over` is."""

    async def accept(self, conn: Connection, agent_id: str, process_id: UUID, request: TurnRequest) -> Accepted:
        if not isinstance(request, RunRequest):
            return await self._tasks.accept(conn, agent_id, process_id, request)
        async with conn.transaction():
            if request.once is not None:  # before the thread is locked, and anything in it is displaced
                await claim_message_key(conn, request.once, request.thread_id, request.task_id)
                request = replace(request, once=None)
            if request.must_exist:
                await lock_callers_thread(conn, agent_id, request.caller, request.thread_id)
            thread = await claim_thread(conn, agent_id, request.thread_id, request.caller)
            announce = [
                *await self._make_room(conn, agent_id, request),
                await self._tasks.close_waiting(conn, thread.owner_key, request.thread_id),
            ]
            accepted = await self._tasks.accept(conn, agent_id, process_id, request)
            await store.insert_run(conn, request)
            names = {"graph_id": request.graph_id, "assistant_id": request.assistant_id}
            await merge_metadata(conn, request.thread_id, names)
            if request.is_temporary:
                await mark_temporary(conn, request.thread_id)
            if request.after_seconds:
                await store.delay_turn(conn, accepted.turn, request.after_seconds)
                accepted = replace(accepted, queued=True, turn=replace(accepted.turn, latest=None))

        def tell() -> None:
            self._runs_here.add(request.task_id)
            self.accepted(request.thread_id)
            for each in (*announce, accepted.announce):
                each()

        return replace(accepted, announce=tell)

    async def started(self, conn: Connection, turn: Turn) -> Announce:
        if not turn.is_call:
            return await self._tasks.started(conn, turn)
        # A run goes on whatever the one before it has asked; its client has said so.
        closed = await self._tasks.close_waiting(conn, turn.owner_key, turn.thread_id)
        return _both(closed, await self._tasks.started(conn, turn))

    async def progressed(self, conn: Connection, turn: Turn, outputs: Sequence[Output]) -> Announce:
        frames, others = _apart(outputs)
        if not frames:
            return await self._tasks.progressed(conn, turn, others)
        if not others:
            return self._publishing(turn.task_id, await store.append_frames(conn, turn, frames))
        shown, told = await _whole(conn, lambda: self._progressed(conn, turn, frames, others))
        return _both(told, self._publishing(turn.task_id, shown))

    async def _progressed(
        self, conn: Connection, turn: Turn, frames: Sequence[StreamFrame], others: Sequence[Output]
    ) -> tuple[list[RunFrame], Announce]:
        return await store.append_frames(conn, turn, frames), await self._tasks.progressed(conn, turn, others)

    async def ended(
        self,
        conn: Connection,
        turn: Turn,
        outcome: Outcome,
        outputs: Sequence[Output],
        unsaved: CheckpointRows | None,
        report: str,
    ) -> Announce:
        if not turn.is_call:
            told = await self._tasks.ended(conn, turn, outcome, outputs, unsaved, report)
            return _both(told, lambda: self._feed.hurry(turn.task_id))
        frames, others = _apart(outputs)
        status, error = "success", None
        ending: Ending = "interrupted" if isinstance(outcome, NeedsInput) else "completed"
        if isinstance(outcome, Failed | Rejected):
            status, ending = "error", "failed"
            error = {"error": getattr(outcome, "kind", "") or type(outcome).__name__, "message": outcome.reason}
            frames.append(StreamFrame("error", encoded(error)))

        async def end() -> tuple[EndedRun, Announce]:
            told = await self._tasks.ended(conn, turn, outcome, others, unsaved, report)
            return await store.end_run(conn, turn.task_id, status, [*frames, end_frame(ending)], error), told

        ended, told = await _whole(conn, end)
        return _both(told, self._closing(turn, ended))

    async def cancelled(self, conn: Connection, turn: Turn) -> Announce:
        told = await self._tasks.cancelled(conn, turn)
        ended = await store.end_run(conn, turn.task_id, "interrupted", [end_frame("cancelled")])
        return _both(told, self._closing(turn, ended))

    async def undone(self, conn: Connection, turn: Turn) -> Announce:
        """In a transaction that has removed the turn: it is to have never been. One that came in over A2A leaves
        its task, cancelled."""
        await store.undo_checkpoints(conn, turn)
        if not await store.is_run(conn, turn.task_id):
            return await self.cancelled(conn, turn)
        told = await self.removed(conn, turn.owner_key, turn.task_id)
        return _both(told, self._closing(turn, EndedRun()))

    async def removed(self, conn: Connection, owner_key: int, run_id: str) -> Announce:
        """In a transaction that holds the run's thread, where no turn works on it: the run goes."""
        await store.delete_run(conn, run_id)
        return await self._tasks.removed(conn, owner_key, run_id)

    async def close_waiting(self, conn: Connection, owner_key: int, thread_id: str) -> Announce:
        """In a transaction that holds the thread: what waits for an answer there waits no longer."""
        return await self._tasks.close_waiting(conn, owner_key, thread_id)

    def lost(self, task_id: str) -> None:
        """The run's turn is no longer run here."""
        self._runs_here.discard(task_id)
        self._feed.hurry(task_id)

    async def _make_room(self, conn: Connection, agent_id: str, request: RunRequest) -> list[Announce]:
        """What is in flight in the thread, which is locked, is dealt with as the request says."""
        if request.strategy == "enqueue":
            return []
        before = await store.list_turn_tasks(conn, request.thread_id)
        if before and request.strategy == "reject":
            raise ThreadBusy(request.thread_id)
        undo = request.strategy == "rollback"
        told = [await self.displace(conn, agent_id, task_id, undo=undo) for task_id in before]
        return [announce for announce in told if announce is not None]

    async def displace(self, conn: Connection, agent_id: str, task_id: str, *, undo: bool) -> Announce | None:
        """In a transaction that holds the thread: ends the task's turn where it is; `None` when it has none."""
        turn = await delete_turn_of_task(conn, task_id, agent_id)
        if turn is None:
            return None
        told = await (self.undone if undo else self.cancelled)(conn, turn)
        return _both(told, lambda: self.let_go(turn.turn_id))

    def _publishing(self, run_id: str, frames: Sequence[RunFrame]) -> Announce:
        return lambda: self._feed.publish(run_id, frames)

    def _closing(self, turn: Turn, ended: EndedRun) -> Announce:
        def announce() -> None:
            self._runs_here.discard(turn.task_id)
            self._feed.publish(turn.task_id, ended.frames)
            if not ended.frames:
                self._feed.hurry(turn.task_id)
            if ended.webhook is not None:
                self.tell(turn, ended.webhook)
            self.over(turn.task_id)

        return announce


def _apart(outputs: Sequence[Output]) -> tuple[list[StreamFrame], list[Output]]:
    frames = [output for output in outputs if isinstance(output, StreamFrame)]
    return frames, [output for output in outputs if not isinstance(output, StreamFrame)]


async def _whole(conn: Connection, work: Callable[[], Awaitable[Result]]) -> Result:
    """Do `work` in one transaction. The account of a task may find that it has to read the task anew, which takes
    another transaction."""
    try:
        async with conn.transaction():
            return await work()
    except psycopg.errors.InFailedSqlTransaction:
        async with conn.transaction():
            return await work()


def _both(first: Announce, second: Announce) -> Announce:
    def announce() -> None:
        first()
        second()

    return announce
