"""Writes into tasks what happens to turns, in the turns' own transactions."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Protocol

from a2a.types import Message, Task, TaskState, TaskStatus, TaskStatusUpdateEvent
from a2a.utils.errors import TaskNotFoundError, UnsupportedOperationError

from agent_runtime.a2a_server import convert, store
from agent_runtime.a2a_server.accounts import Account, Accounts
from agent_runtime.a2a_server.feed import Feed
from agent_runtime.a2a_server.tasks import (
    ANSWERED,
    A2ATurnRequest,
    Event,
    StoredTask,
    TaskEvent,
    copy_of,
    fold,
    state_name,
)
from agent_runtime.errors import ThreadWaitsForInput, TurnSuperseded
from agent_runtime.turns.outputs import (
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
from agent_runtime.turns.types import Announce, Turn, TurnRequest
from groundwork.postgres import Connection

_WORKING = TaskState.TASK_STATE_WORKING
_SUBMITTED = TaskState.TASK_STATE_SUBMITTED


class Notifier(Protocol):
    """Sends a task's events to those who asked for push notifications."""

    def notify(self, task: Task, items: Sequence[TaskEvent]) -> None: ...


@dataclass(frozen=True)
class Change:
    """What a write did to a task, to be told to those who follow it."""

    task: Task
    items: Sequence[TaskEvent]
    pushes: bool


class TaskRecorder:
    """The account of turns that A2A callers see; see `turns.types.TurnRecorder`.

    While a turn is here, its task is known by heart (`Accounts`), so a write is one statement. The statement
    checks that the version it builds on is the last one; if it is not, the task is read and the write is
    made once more.
    """

    def __init__(self, accounts: Accounts, feed: Feed, notifier: Notifier) -> None:
        self._accounts = accounts
        self._feed = feed
        self._notifier = notifier

    async def accepted(self, conn: Connection, turn: Turn, request: TurnRequest, *, queued: bool) -> Announce:
        if request.answers:
            return await self._answered(conn, turn, request, queued)
        now = datetime.now(UTC)
        state = _SUBMITTED if queued else _WORKING
        task = convert.new_task(turn.task_id, _message_of(request), convert.status(state, now))
        push = request.push if isinstance(request, A2ATurnRequest) else None
        waiting = await store.insert_task(conn, turn, task, state_name(state), now, push)
        if waiting is not None:
            raise ThreadWaitsForInput(turn.thread_id, waiting)
        told = push is not None or not isinstance(request, A2ATurnRequest) or request.told

        def announce() -> None:
            self._accounts.put(Account(turn.attempt, copy_of(task), 1, told))
            self._feed.publish(task.id, [TaskEvent(1, task, task)])

        return announce

    async def started(self, conn: Connection, turn: Turn) -> Announce:
        now = datetime.now(UTC)

        async def write(account: Account) -> Change | None:
            event = convert.status_event(account.task, convert.status(_WORKING, now))
            written = await store.start_task(conn, turn, account.version, event, now)
            if isinstance(written, str):
                raise ThreadWaitsForInput(turn.thread_id, written)
            return None if written is None else self._advance(account, [event], written.pushes)

        return self._announcing(await self._write(conn, turn, write))

    async def progressed(self, conn: Connection, turn: Turn, outputs: Sequence[Output]) -> Announce:
        if not outputs:
            return _nothing
        now = datetime.now(UTC)

        async def write(account: Account) -> Change | None:
            events = convert.output_events(account.task, outputs, now)
            says_status = any(isinstance(event, TaskStatusUpdateEvent) for event in events)
            written = await store.append_events(conn, turn, account.version, events, now if says_status else None)
            return None if written is None else self._advance(account, events, written.pushes)

        return self._announcing(await self._write(conn, turn, write))

    async def ended(self, conn: Connection, turn: Turn, outcome: Outcome) -> Announce:
        if isinstance(outcome, Replied) and not self._accounts.is_told(turn.task_id):
            return await self._replied(conn, turn, outcome)
        now = datetime.now(UTC)
        change = await self._write(
            conn, turn, lambda account: self._finish(conn, turn, account, _final(account.task, outcome, now), now)
        )
        return self._closing(turn, change)

    async def cancelled(self, conn: Connection, turn: Turn) -> Announce:
        # The turn may have run elsewhere, so what is known here is not to be trusted.
        self._accounts.drop(turn.task_id)
        now = datetime.now(UTC)
        status = convert.status(TaskState.TASK_STATE_CANCELED, now)
        change = await self._write(conn, turn, lambda account: self._finish(conn, turn, account, status, now))
        return self._closing(turn, change)

    async def cancel_waiting(self, conn: Connection, stored: StoredTask) -> Announce:
        """Ends a locked task that no turn is working on."""
        now = datetime.now(UTC)
        task, event = stored.task, _set_status(stored.task, convert.status(TaskState.TASK_STATE_CANCELED, now))
        state = state_name(TaskState.TASK_STATE_CANCELED)
        written = await store.store_task(conn, stored.owner_key, task, stored.version, event, state, now)
        assert written is not None, "a locked task cannot change"
        items = [TaskEvent(stored.version + 1, event, task)]
        return self._announcing(Change(task, items, written.pushes))

    def lost(self, task_id: str) -> None:
        """The task's turn is no longer run here."""
        self._accounts.drop(task_id)
        self._feed.hurry(task_id)

    def _announcing(self, change: Change) -> Announce:
        def announce() -> None:
            self._feed.publish(change.task.id, change.items)
            if change.pushes:
                self._notifier.notify(change.task, change.items)

        return announce

    async def _answered(self, conn: Connection, turn: Turn, request: TurnRequest, queued: bool) -> Announce:
        stored = await store.lock_task(conn, turn.owner_key, turn.task_id)
        check_answerable(turn.task_id, stored, turn.caller, turn.thread_id)
        assert stored is not None
        now = datetime.now(UTC)
        status = convert.status(_SUBMITTED if queued else _WORKING, now)
        task = stored.task
        message = _message_of(request)
        if all(known.message_id != message.message_id for known in task.history):
            task.history.append(message)
        event = _set_status(task, status)
        state = ANSWERED if queued else state_name(_WORKING)
        written = await store.store_task(conn, turn.owner_key, task, stored.version, event, state, now)
        assert written is not None, "a locked task cannot change"
        pushes = written.pushes
        if isinstance(request, A2ATurnRequest) and request.push is not None:
            await store.add_push_config(conn, request.push)
            pushes = True
        change = Change(task, [TaskEvent(stored.version + 1, event, task)], pushes)
        tell = self._announcing(change)

        def announce() -> None:
            self._accounts.put(Account(turn.attempt, copy_of(task), stored.version + 1))
            tell()

        return announce

    async def _replied(self, conn: Connection, turn: Turn, outcome: Replied) -> Announce:
        if not await store.delete_task(conn, turn):
            raise _gone(turn)
        message = convert.agent_message(outcome.parts, context_id=turn.thread_id)
        account = self._accounts.find(turn.task_id, turn.attempt)
        version = account.version if account else 0

        def announce() -> None:
            self._accounts.drop(turn.task_id)
            self._feed.publish(turn.task_id, [TaskEvent(version + 1, message)])

        return announce

    async def _write(
        self, conn: Connection, turn: Turn, write: Callable[[Account], Awaitable[Change | None]]
    ) -> Change:
        account = self._accounts.find(turn.task_id, turn.attempt)
        if account is not None and (change := await write(account)) is not None:
            return change
        stored = await store.lock_task(conn, turn.owner_key, turn.task_id)
        if stored is None:
            raise _gone(turn)
        account = Account(turn.attempt, stored.task, stored.version)
        self._accounts.put(account)
        change = await write(account)
        assert change is not None, "a locked task cannot change"
        return change

    async def _finish(
        self, conn: Connection, turn: Turn, account: Account, status: TaskStatus, now: datetime
    ) -> Change | None:
        task = copy_of(account.task)
        event = _set_status(task, status)
        state = state_name(status.state)
        written = await store.store_task(conn, turn.owner_key, task, account.version, event, state, now)
        if written is None:
            return None
        return Change(task, [TaskEvent(account.version + 1, event, task)], written.pushes)

    def _advance(self, account: Account, events: Sequence[Event], pushes: bool) -> Change:
        first = account.version + 1
        for event in events:
            fold(account.task, event)
        account.version += len(events)
        items = [TaskEvent(version, event) for version, event in enumerate(events, first)]
        return Change(account.task, items, pushes)

    def _closing(self, turn: Turn, change: Change) -> Announce:
        tell = self._announcing(change)

        def announce() -> None:
            self._accounts.drop(turn.task_id)
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
