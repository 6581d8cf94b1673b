"""Writes into tasks what happens to turns, in the turns' own transactions."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from a2a.types import Message, Task, TaskState, TaskStatus, TaskStatusUpdateEvent
from a2a.utils.errors import InvalidParamsError, TaskNotFoundError, UnsupportedOperationError

from agent_runtime.a2a_server import convert, store
from agent_runtime.a2a_server.feed import TaskFeed
from agent_runtime.a2a_server.live_tasks import LiveTask, LiveTasks
from agent_runtime.a2a_server.tasks import (
    ANSWERED,
    A2ATurnRequest,
    Event,
    StoredTask,
    TaskEvent,
    copy_of,
    fold,
    question_digest,
    state_name,
)
from agent_runtime.errors import AnotherQuestion, ThreadWaitsForInput, TurnSuperseded
from agent_runtime.graph.outputs import (
    Completed,
    Failed,
    NeedsInput,
    Outcome,
    Output,
    Part,
    Rejected,
    Replied,
    Text,
)
from agent_runtime.threads.store import claim_thread
from agent_runtime.turns.once import claim_message_key
from agent_runtime.turns.store import enqueue_turn
from agent_runtime.turns.types import Accepted, Announce, Turn, TurnRequest
from groundwork.postgres.checkpoint_rows import CheckpointRows
from groundwork.postgres.pool import Connection

_WORKING = TaskState.TASK_STATE_WORKING
_SUBMITTED = TaskState.TASK_STATE_SUBMITTED


class Notifier(Protocol):
    """Sends a task's events to those who asked for push notifications."""

    def notify(self, task: Task, items: Sequence[TaskEvent], caller: str) -> None: ...


@dataclass(frozen=True)
class Change:
    """What a write did to a task, to be told to those who follow it."""

    task: Task
    items: Sequence[TaskEvent]
    pushes: bool


class TaskRecorder:
    """The live_task of turns that A2A callers see; see `turns.types.TurnRecorder`.

    While a turn is here, its task is known by heart (`LiveTasks`), so a write is one statement. The statement
    checks that the version it builds on is the last one; if it is not, the task is read and the write is
    made once more.
    """

    def __init__(self, live_tasks: LiveTasks, feed: TaskFeed, notifier: Notifier) -> None:
        self._live_tasks = live_tasks
        self._feed = feed
        self._notifier = notifier

    async def accept(self, conn: Connection, agent_id: str, process_id: UUID, request: TurnRequest) -> Accepted:
        if request.answers:
            async with conn.transaction():
                return await self._answered(conn, agent_id, process_id, request)
        now = datetime.now(UTC)
        task = convert.new_task(request.task_id, _message_of(request))
        push = request.push if isinstance(request, A2ATurnRequest) else None
        running, queued = convert.status(_WORKING, now), convert.status(_SUBMITTED, now)
        enqueued = await store.accept_turn(conn, agent_id, process_id, request, task, running, queued, now, push)
        task.status.CopyFrom(queued if enqueued.queued else running)
        told = push is not None or not isinstance(request, A2ATurnRequest) or request.told

        def announce() -> None:
            self._live_tasks.put(LiveTask(enqueued.turn.attempt, copy_of(task), 1, told))
            self._feed.publish(task.id, [TaskEvent(1, task, task)])

        return Accepted(enqueued.turn, enqueued.queued, enqueued.summary, announce)

    async def started(self, conn: Connection, turn: Turn) -> Announce:
        now = datetime.now(UTC)
        live_task = await self._lock(conn, turn)
        event = convert.status_event(live_task.task, convert.status(_WORKING, now))
        written = await store.start_task(conn, turn, live_task.version, event, now)
        if isinstance(written, str):
            raise ThreadWaitsForInput(turn.thread_id, written)
        assert written is not None, "a locked task cannot change"
        self._live_tasks.put(live_task)
        return self._announcing(self._advance(live_task, [event], written.pushes), turn.caller)

    async def progressed(self, conn: Connection, turn: Turn, outputs: Sequence[Output]) -> Announce:
        if not outputs:
            return _nothing
        now = datetime.now(UTC)

        async def write(live_task: LiveTask) -> Change:
            events = convert.output_events(live_task.task, outputs, now)
            says_status = any(isinstance(event, TaskStatusUpdateEvent) for event in events)
            pushes = await store.append_events(conn, turn, live_task.version, events, now if says_status else None)
            return self._advance(live_task, events, pushes)

        return self._announcing(await self._write(conn, turn, write), turn.caller)

    async def ended(
        self,
        conn: Connection,
        turn: Turn,
        outcome: Outcome,
        outputs: Sequence[Output],
        unsaved: CheckpointRows | None,
        report: str,
    ) -> Announce:
        if isinstance(outcome, Replied) and not self._live_tasks.is_told(turn.task_id):
            return await self._replied(conn, turn, outcome, unsaved, report)
        now = datetime.now(UTC)

        async def write(live_task: LiveTask) -> Change:
            task = copy_of(live_task.task)
            events: list[Event] = [*convert.output_events(task, outputs, now)]
            for event in events:
                fold(task, event)
            events.append(_set_status(task, _final(task, outcome, now)))
            pushes = await store.end_turn(conn, turn, unsaved, live_task.version, events, task, now, report)
            items = [TaskEvent(version, event) for version, event in enumerate(events[:-1], live_task.version + 1)]
            items.append(TaskEvent(live_task.version + len(events), events[-1], task))
            return Change(task, items, pushes)

        return self._closing(turn, await self._write(conn, turn, write))

    async def cancelled(self, conn: Connection, turn: Turn) -> Announce:
        now = datetime.now(UTC)
        live_task = await self._lock(conn, turn)
        status = convert.status(TaskState.TASK_STATE_CANCELED, now)
        event = _set_status(live_task.task, status)
        state = state_name(status.state)
        written = await store.store_task(
            conn, turn.owner_key, live_task.task, live_task.version, event, state, now
        )
        assert written is not None, "a locked task cannot change"
        items = [TaskEvent(live_task.version + 1, event, live_task.task)]
        return self._closing(turn, Change(live_task.task, items, written.pushes))

    async def cancel_waiting(self, conn: Connection, stored: StoredTask) -> Announce:
        """Cancels a locked task that no turn is working on."""
        return await self._set_ended(conn, stored, TaskState.TASK_STATE_CANCELED)

    async def _set_ended(self, conn: Connection, stored: StoredTask, ended: TaskState) -> Announce:
        now = datetime.now(UTC)
        task, event = stored.task, _set_status(stored.task, convert.status(ended, now))
        state = state_name(ended)
        written = await store.store_task(conn, stored.owner_key, task, stored.version, event, state, now)
        assert written is not None, "a locked task cannot change"
        items = [TaskEvent(stored.version + 1, event, task)]
        return self._announcing(Change(task, items, written.pushes), stored.caller)

    async def close_waiting(self, conn: Connection, owner_key: int, thread_id: str) -> Announce:
        """In a transaction that holds the thread: a task of it that waits for an answer waits no longer, because
        the thread goes on without one that names it."""
        told = []
        for task_id in await store.list_waiting_tasks(conn, thread_id):
            stored = await store.lock_task(conn, owner_key, task_id)
            if stored is not None and stored.is_waiting:
                told.append(await self._set_ended(conn, stored, TaskState.TASK_STATE_COMPLETED))

        def announce() -> None:
            for tell in told:
                tell()

        return announce

    async def removed(self, conn: Connection, owner_key: int, task_id: str) -> Announce:
        """In a transaction that holds the task's thread, where no turn works on it: the task goes."""
        await store.delete_task(conn, owner_key, task_id)
        return lambda: self.lost(task_id)

    def lost(self, task_id: str) -> None:
        """The task's turn is no longer run here."""
        self._live_tasks.drop(task_id)
        self._feed.hurry(task_id)

    def _announcing(self, change: Change, caller: str) -> Announce:
        def announce() -> None:
            self._feed.publish(change.task.id, change.items)
            if change.pushes:
                self._notifier.notify(change.task, change.items, caller)

        return announce

    async def _answered(self, conn: Connection, agent_id: str, process_id: UUID, request: TurnRequest) -> Accepted:
        if request.once is not None:
            await claim_message_key(conn, request.once, request.thread_id, request.task_id)
        thread = await claim_thread(conn, agent_id, request.thread_id, request.caller)
        enqueued = await enqueue_turn(conn, process_id, request)
        queued, owner_key = enqueued.queued, thread.owner_key
        stored = await store.lock_task(conn, owner_key, request.task_id)
        check_answerable(request.task_id, stored, request.caller, request.thread_id)
        assert stored is not None
        answered_by = None
        if isinstance(request, A2ATurnRequest):
            answered_by = request.answered_by
            if request.question is not None and request.question != question_digest(stored.task):
                raise AnotherQuestion(request.task_id)
        await store.note_answerer(conn, request.task_id, answered_by)
        now = datetime.now(UTC)
        task, version = stored.task, stored.version + 1
        message = _message_of(request)
        if all(known.message_id != message.message_id for known in task.history):
            task.history.append(message)
        event = _set_status(task, convert.status(_SUBMITTED if queued else _WORKING, now))
        state = ANSWERED if queued else state_name(_WORKING)
        written = await store.store_task(conn, owner_key, task, stored.version, event, state, now)
        assert written is not None, "a locked task cannot change"
        pushes = written.pushes
        if isinstance(request, A2ATurnRequest) and request.push is not None:
            try:
                await store.add_push_config(conn, request.push)
            except store.TooManyPushConfigs as error:
                raise InvalidParamsError(str(error)) from None
            pushes = True
        tell = self._announcing(Change(task, [TaskEvent(version, event, task)], pushes), request.caller)
        turn = request.as_turn(enqueued.turn_id, owner_key, enqueued.attempt)

        def announce() -> None:
            self._live_tasks.put(LiveTask(turn.attempt, copy_of(task), version))
            tell()

        return Accepted(turn, queued, thread.summary, announce)

    async def _replied(
        self, conn: Connection, turn: Turn, outcome: Replied, unsaved: CheckpointRows | None, report: str
    ) -> Announce:
        message = convert.agent_message(outcome.parts, context_id=turn.thread_id)
        try:
            async with conn.transaction():
                await store.end_turn_without_task(conn, turn, unsaved, report)
                await store.keep_answer(conn, turn, message)
        except store.TaskAtAnotherVersion:
            raise _gone(turn) from None
        live_task = self._live_tasks.find(turn.task_id, turn.attempt)
        version = live_task.version if live_task else 0

        def announce() -> None:
            self._live_tasks.drop(turn.task_id)
            self._feed.publish(turn.task_id, [TaskEvent(version + 1, message)])

        return announce

    async def _write(self, conn: Connection, turn: Turn, write: Callable[[LiveTask], Awaitable[Change]]) -> Change:
        """Writes on what is known of the task, and once more on what is stored when that is something else: when
        nobody knows whether an earlier write took place, or the turn came from another process."""
        live_task = self._live_tasks.find(turn.task_id, turn.attempt)
        if live_task is not None:
            try:
                return await write(live_task)
            except store.TaskAtAnotherVersion:
                self._live_tasks.drop(turn.task_id)
        live_task = self._read(turn, await store.read_task(conn, turn.task_id))
        self._live_tasks.put(live_task)
        try:
            return await write(live_task)
        except store.TaskAtAnotherVersion:
            # Only the holder of the turn writes to its task.
            raise _gone(turn) from None

    async def _lock(self, conn: Connection, turn: Turn) -> LiveTask:
        """The task as it is until the transaction ends."""
        return self._read(turn, await store.lock_task(conn, turn.owner_key, turn.task_id))

    def _read(self, turn: Turn, stored: StoredTask | None) -> LiveTask:
        if stored is None or stored.owner_key != turn.owner_key:
            raise _gone(turn)
        return LiveTask(turn.attempt, stored.task, stored.version, self._live_tasks.is_told(turn.task_id))

    def _advance(self, live_task: LiveTask, events: Sequence[Event], pushes: bool) -> Change:
        first = live_task.version + 1
        for event in events:
            fold(live_task.task, event)
        live_task.version += len(events)
        items = [TaskEvent(version, event) for version, event in enumerate(events, first)]
        return Change(live_task.task, items, pushes)

    def _closing(self, turn: Turn, change: Change) -> Announce:
        tell = self._announcing(change, turn.caller)

        def announce() -> None:
            self._live_tasks.drop(turn.task_id)
            tell()

        return announce


def check_answerable(task_id: str, stored: StoredTask | None, caller: str, thread_id: str) -> None:
    """Raises the protocol's error unless `caller` may answer the task in this thread now."""
    if stored is None or stored.caller != caller or stored.thread_id != thread_id:
        raise TaskNotFoundError(f"Task {task_id} not found")
    if stored.is_terminal:
        name = state_name(stored.task.status.state).lower()
        raise UnsupportedOperationError(f"Task {task_id} is over ({name}); send a message without a task id")
    if not stored.is_waiting:
        raise UnsupportedOperationError(
            f"Task {task_id} is still being worked on and does not wait for input; send the message without"
            " a task id, and it will be next in its context"
        )


def _message_of(request: TurnRequest) -> Message:
    if isinstance(request, A2ATurnRequest):
        return request.original
    return convert.user_message(
        request.message,
        message_id=request.message_id,
        context_id=request.thread_id,
        task_id=request.task_id,
    )


def _final(task: Task, outcome: Outcome, now: datetime) -> TaskStatus:
    def said(*parts: Part) -> Message:
        return convert.agent_message(parts, context_id=task.context_id, task_id=task.id)

    match outcome:
        case Completed():
            return convert.status(TaskState.TASK_STATE_COMPLETED, now)
        case Replied(parts):
            return convert.status(TaskState.TASK_STATE_COMPLETED, now, said(*parts))
        case NeedsInput(question):
            return convert.status(TaskState.TASK_STATE_INPUT_REQUIRED, now, said(*question))
        case Rejected(reason):
            return convert.status(TaskState.TASK_STATE_REJECTED, now, said(Text(reason)))
        case Failed(reason):
            return convert.status(TaskState.TASK_STATE_FAILED, now, said(Text(reason)))


def _set_status(task: Task, status: TaskStatus) -> TaskStatusUpdateEvent:
    """Applies the status to the task and returns the event that says so."""
    event = convert.status_event(task, status)
    fold(task, event)
    return event


def _gone(turn: Turn) -> TurnSuperseded:
    return TurnSuperseded(f"task {turn.task_id} of turn {turn.turn_id} was deleted")


def _nothing() -> None:
    """Nothing to announce."""
