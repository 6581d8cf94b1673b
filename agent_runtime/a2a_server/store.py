"""The rows behind tasks, their events and their push configs. Callers bring the connection.

A task's row is a snapshot at `version`; the rows of `a2a_task_events` after it are what has happened since, a row
for what was written at once. Versions of events are consecutive, so that a follower can tell when one is missing;
what a snapshot holds may be missing, since it says the same (`tasks.retold`).
"""

import logging
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from a2a.types import Message, Task, TaskPushNotificationConfig, TaskStatus

from agent_runtime.a2a_server.tasks import (
    Event,
    StoredTask,
    TaskEvent,
    events_from_bytes,
    events_to_bytes,
    fold,
    says_as_much,
    state_name,
)
from agent_runtime.errors import (
    AgentError,
    AlreadyAccepted,
    ThreadNotOurs,
    ThreadOfAnotherCaller,
    ThreadUnclaimed,
    ThreadWaitsForInput,
)
from agent_runtime.turns.feed import News
from agent_runtime.turns.once import key_fence
from agent_runtime.turns.store import turn_fence
from agent_runtime.turns.types import LatestCheckpoint, Turn, TurnRequest
from groundwork.bounds import PAGE_BYTES, PUSH_CONFIGS_PER_TASK
from groundwork.postgres.checkpoint_rows import CheckpointRows
from groundwork.postgres.pool import Connection, DatabaseUnavailable
from groundwork.postgres.sql import Queries

logger = logging.getLogger(__name__)

sql = Queries("agent_runtime.a2a_server")


@dataclass(frozen=True)
class Written:
    """A write that took place; `pushes` says whether anybody wants to be notified of it."""

    pushes: bool


@dataclass(frozen=True)
class TaskFilter:
    """Which tasks of which caller of which agent; `None` is no condition."""

    agent_id: str
    caller: str
    thread_id: str | None = None
    states: tuple[str, ...] | None = None
    since: datetime | None = None

    def parameters(self) -> dict[str, Any]:
        states = None if self.states is None else list(self.states)
        return {
            "agent_id": self.agent_id,
            "caller": self.caller,
            "thread_id": self.thread_id,
            "states": states,
            "since": self.since,
        }


@dataclass(frozen=True)
class Position:
    """A place in the listing, which runs from the newest status to the oldest."""

    status_at: datetime
    task_id: str


@dataclass(frozen=True)
class ListedTask:
    task: Task
    position: Position


@dataclass(frozen=True)
class EnqueuedTurn:
    """A turn that was accepted. `summary` is its thread's."""

    turn: Turn
    queued: bool
    summary: str | None


class TooManyPushConfigs(Exception):
    """The task has as many push configs as it may."""

    def __init__(self) -> None:
        super().__init__(f"a task has at most {PUSH_CONFIGS_PER_TASK} push notification configs; delete one first")


class TaskAtAnotherVersion(Exception):
    """The task is not at the version that the write was to build on, or is gone; nothing was written."""


_REFUSALS: dict[str, Callable[[TurnRequest, str], AgentError]] = {
    "AS003": lambda request, detail: ThreadNotOurs(request.thread_id),
    "AS004": lambda request, detail: ThreadOfAnotherCaller(request.thread_id),
    "AS005": lambda request, detail: ThreadUnclaimed(request.thread_id),
    "AS006": lambda request, task_id: ThreadWaitsForInput(request.thread_id, task_id),
}
"""By the SQLSTATE of `accept_agent_turn`."""

_ANOTHER_VERSION = "AS002"
"""SQLSTATE of `check_task_version` and `end_agent_turn`."""


async def accept_turn(
    conn: Connection,
    agent_id: str,
    process_id: UUID,
    request: TurnRequest,
    task: Task,
    running: TaskStatus,
    queued: TaskStatus,
    now: datetime,
    push: TaskPushNotificationConfig | None,
) -> EnqueuedTurn:
    """Claims the thread, gives the turn its place in its queue, and stores the task at version 1, with the status
    that fits, which it has since `now`. It is a transaction by itself.

    Raises `AlreadyAccepted`, `KeyOfAnotherMessage`, `ThreadNotOurs`, `ThreadUnclaimed`, `ThreadOfAnotherCaller`,
    `ThreadWaitsForInput`; then nothing was stored by this call. Raises `DatabaseUnavailable` when an earlier one
    has accepted the turn.
    """
    parameters = {
        "agent_id": agent_id,
        "process_id": process_id,
        "thread_id": request.thread_id,
        "caller": request.caller,
        "task_id": request.task_id,
        "request": request.to_bytes(),
        "task": task.SerializeToString(),
        "running": Task(status=running).SerializeToString(),
        "queued": Task(status=queued).SerializeToString(),
        "status_at": now,
        "config_id": push.id if push else None,
        "config": push.SerializeToString() if push else None,
        "key": request.once.key if request.once else None,
        "digest": request.once.digest if request.once else None,
    }
    try:
        async with key_fence():
            row = await (await conn.execute(sql.accept_turn, parameters, binary=True)).fetchone()
    except AlreadyAccepted as known:
        if known.task_id != request.task_id:
            raise
        raise DatabaseUnavailable("the connection broke while the turn was accepted") from None
    except psycopg.errors.UniqueViolation:
        # It is accepted already, on a connection that broke before we heard of it; the sweep finds it.
        raise DatabaseUnavailable("the connection broke while the turn was accepted") from None
    except psycopg.DatabaseError as error:
        if refusal := _REFUSALS.get(error.sqlstate or ""):
            raise refusal(request, error.diag.message_detail or "") from None
        raise
    assert row is not None
    latest = None if row["queued"] else LatestCheckpoint(row if row["checkpoint_id"] else None)
    turn = request.as_turn(row["turn_id"], row["owner_key"], row["attempt"], latest)
    return EnqueuedTurn(turn, row["queued"], row["summary"])


async def find_task(conn: Connection, agent_id: str, caller: str, task_id: str) -> StoredTask | None:
    cursor = await conn.execute(sql.find_task, {"agent_id": agent_id, "caller": caller, "task_id": task_id})
    return _stored(await cursor.fetchone())


async def lock_task(conn: Connection, owner_key: int, task_id: str) -> StoredTask | None:
    """The task, which stays as it is until the caller's transaction ends."""
    cursor = await conn.execute(sql.lock_task, {"owner_key": owner_key, "task_id": task_id})
    return await read_task(conn, task_id) if await cursor.fetchone() else None


async def read_task(conn: Connection, task_id: str) -> StoredTask | None:
    """The task, whoever it belongs to."""
    return _stored(await (await conn.execute(sql.read_task, {"task_id": task_id})).fetchone())


async def list_waiting_tasks(conn: Connection, thread_id: str) -> list[str]:
    """The tasks of the thread that wait for an answer."""
    cursor = await conn.execute(sql.list_waiting_tasks, {"thread_id": thread_id})
    return [row["task_id"] for row in await cursor.fetchall()]


async def delete_task(conn: Connection, owner_key: int, task_id: str) -> None:
    """Removes the task with its events and push configs."""
    await conn.execute(sql.delete_task, {"owner_key": owner_key, "task_id": task_id})


async def has_turn(conn: Connection, task_id: str) -> bool:
    row = await (await conn.execute(sql.has_turn, {"task_id": task_id})).fetchone()
    assert row is not None
    return bool(row["has_turn"])


async def append_events(
    conn: Connection, turn: Turn, version: int, events: Sequence[Event], status_at: datetime | None
) -> bool:
    """Adds what the turn has put out after `version`. Returns whether anybody wants to be notified of it.

    It is a transaction by itself. Raises `TurnSuperseded`, and `TaskAtAnotherVersion`.
    """
    parameters = {
        "turn_id": turn.turn_id,
        "attempt": turn.attempt,
        "task_id": turn.task_id,
        "owner_key": turn.owner_key,
        "version": version,
        "events": events_to_bytes(events),
        "count": len(events),
        "status_at": status_at,
    }
    async with turn_fence(), _version_fence():
        row = await (await conn.execute(sql.append_events, parameters)).fetchone()
    assert row is not None
    return bool(row["pushes"])


async def end_turn(
    conn: Connection,
    turn: Turn,
    unsaved: CheckpointRows | None,
    version: int,
    events: Sequence[Event],
    task: Task,
    status_at: datetime,
    report: str,
) -> bool:
    """Takes the turn out of the queue, stores the rest of its checkpoints and its record, and makes `task` the
    snapshot, to which `events` have led from `version`. They are not kept when the task says as much. Returns
    whether anybody wants to be notified of it.

    It is a transaction by itself. Raises `TurnSuperseded`, and `TaskAtAnotherVersion`.
    """
    ending = {
        "version": version,
        "events": None if says_as_much(task, version, events) else events_to_bytes(events),
        "count": len(events),
        "task": task.SerializeToString(),
        "state": state_name(task.status.state),
        "status_at": status_at,
        "report": report,
    }
    return await _end_turn(conn, turn, unsaved, ending)


async def end_turn_without_task(conn: Connection, turn: Turn, unsaved: CheckpointRows | None, report: str) -> None:
    """Like `end_turn`, but the task goes: it was answered with a message, and nobody knows of it."""
    nothing = {"version": 0, "events": None, "count": 0, "task": None, "state": "", "status_at": None}
    await _end_turn(conn, turn, unsaved, {**nothing, "report": report})


async def keep_answer(conn: Connection, turn: Turn, answer: Message) -> None:
    """Keep the bare message with which the turn was answered, as long as its key is remembered."""
    parameters = {
        "thread_id": turn.thread_id,
        "task_id": turn.task_id,
        "answer": answer.SerializeToString(),
    }
    await conn.execute(sql.keep_answer, parameters)


async def _end_turn(conn: Connection, turn: Turn, unsaved: CheckpointRows | None, ending: dict[str, Any]) -> bool:
    rows, values = unsaved.packed() if unsaved else (None, None)
    parameters = {
        "turn_id": turn.turn_id,
        "attempt": turn.attempt,
        "rows": rows,
        "bytes": values,
        "task_id": turn.task_id,
        "owner_key": turn.owner_key,
        "caller": turn.caller,
        **ending,
    }
    async with turn_fence(), _version_fence():
        row = await (await conn.execute(sql.end_turn, parameters)).fetchone()
    assert row is not None
    return bool(row["pushes"])


@asynccontextmanager
async def _version_fence() -> AsyncIterator[None]:
    try:
        yield
    except psycopg.DatabaseError as error:
        if error.sqlstate == _ANOTHER_VERSION:
            raise TaskAtAnotherVersion from None
        raise


async def start_task(
    conn: Connection, turn: Turn, version: int, event: Event, status_at: datetime
) -> Written | str | None:
    """Adds the event that the task is being worked on. Returns instead the id of another task of the thread
    whose pause is open, or `None` when `version` is not the last one; then nothing was added."""
    parameters = {
        "task_id": turn.task_id,
        "thread_id": turn.thread_id,
        "owner_key": turn.owner_key,
        "version": version,
        "events": events_to_bytes([event]),
        "status_at": status_at,
    }
    row = await (await conn.execute(sql.start_task, parameters)).fetchone()
    assert row is not None
    if row["waiting"] is not None:
        return str(row["waiting"])
    return Written(row["pushes"]) if row["started"] else None


async def store_task(
    conn: Connection,
    owner_key: int,
    task: Task,
    version: int,
    event: Event,
    state: str,
    status_at: datetime,
) -> Written | None:
    """Makes `task` the snapshot, and `event` the one that led to it. Returns `None`, and changes nothing,
    when `version` is not the last one."""
    parameters = {
        "task_id": task.id,
        "owner_key": owner_key,
        "version": version,
        "task": task.SerializeToString(),
        "events": events_to_bytes([event]),
        "state": state,
        "status_at": status_at,
    }
    return _written(await (await conn.execute(sql.store_task, parameters)).fetchone())


async def list_tasks(
    conn: Connection, wanted: TaskFilter, limit: int, after: Position | None
) -> tuple[list[ListedTask], bool]:
    """Return a page of at most `limit` tasks and `PAGE_BYTES`, or one task, and whether there are more."""
    parameters = {
        **wanted.parameters(),
        "limit": limit,
        "bytes": PAGE_BYTES,
        "after_at": after.status_at if after else None,
        "after_id": after.task_id if after else None,
    }
    # Planned for these filters each time: one plan for all of them would read every task of the caller.
    rows = await (await conn.execute(sql.list_tasks, parameters, prepare=False)).fetchall()
    listed = [ListedTask(_folded(row)[0], Position(row["status_at"], row["task_id"])) for row in rows]
    return listed, bool(rows) and rows[0]["found"] > len(rows)


async def list_open_questions(
    conn: Connection, agent_id: str, limit: int, after: Position | None
) -> tuple[list[tuple[StoredTask, Position]], bool]:
    """Return a page of the tasks that wait for input, with their places, and whether there are more."""
    parameters = {
        "agent_id": agent_id,
        "limit": limit,
        "bytes": PAGE_BYTES,
        "after_at": after.status_at if after else None,
        "after_id": after.task_id if after else None,
    }
    rows = await (await conn.execute(sql.list_open_questions, parameters, prepare=False)).fetchall()
    listed = [(_stored_task(row), Position(row["status_at"], row["task_id"])) for row in rows]
    return listed, bool(rows) and rows[0]["found"] > len(rows)


async def list_open_keys(conn: Connection, agent_id: str, limit: int) -> tuple[datetime, list[Position], bool]:
    """Return when this is read by the database's clock, where questions are open, the last one first,
    and whether there are more."""
    clock = await (await conn.execute(sql.read_clock)).fetchone()
    assert clock is not None
    parameters = {"agent_id": agent_id, "limit": limit}
    rows = await (await conn.execute(sql.list_open_keys, parameters, prepare=False)).fetchall()
    places = [Position(row["status_at"], row["task_id"]) for row in rows[:limit]]
    return clock["now"], places, len(rows) > limit


async def find_task_of_any_caller(
    conn: Connection, agent_id: str, task_id: str
) -> tuple[StoredTask, str | None, datetime] | None:
    """Return the task, who has answered its last question, unless it was its caller, and when its state began."""
    parameters = {"agent_id": agent_id, "task_id": task_id}
    row = await (await conn.execute(sql.find_task_of_any_caller, parameters)).fetchone()
    return None if row is None else (_stored_task(row), row["answered_by"], row["status_at"])


async def note_answerer(conn: Connection, task_id: str, answered_by: str | None) -> None:
    await conn.execute(sql.note_answerer, {"task_id": task_id, "answered_by": answered_by})


async def count_tasks(conn: Connection, wanted: TaskFilter) -> int:
    row = await (await conn.execute(sql.count_tasks, wanted.parameters())).fetchone()
    assert row is not None
    return int(row["total"])


async def read_events(conn: Connection, seen: Mapping[str, int]) -> dict[str, News[TaskEvent]]:
    """What happened to tasks after the versions in `seen`; tasks that are gone are not in the answer."""
    parameters = {"task_ids": list(seen), "versions": list(seen.values())}
    rows = await (await conn.execute(sql.read_events, parameters)).fetchall()
    found: dict[str, tuple[int, list[TaskEvent]]] = {}
    for row in rows:
        _, events = found.setdefault(row["task_id"], (row["stored_version"], []))
        if row["events"] is not None:
            written = enumerate(_read_events(row["task_id"], row["events"]), row["first_version"])
            events += [TaskEvent(version, event) for version, event in written if version > row["seen"]]
    return {task_id: News(version, tuple(events)) for task_id, (version, events) in found.items()}


def _read_events(task_id: str, data: bytes) -> Sequence[Event]:
    """None where they cannot be read: their task is told of as it is stored, and the other tasks as ever."""
    try:
        return list(events_from_bytes(data))
    except Exception:
        logger.exception("reading task events failed task_id=%s", task_id)
        return []


async def prune_events(conn: Connection) -> int:
    """Removes events that nobody can still be waiting for. Returns how many there were."""
    return (await conn.execute(sql.prune_events)).rowcount


async def put_push_config(
    conn: Connection, agent_id: str, caller: str, config: TaskPushNotificationConfig
) -> bool:
    """Store the config under its id. Return whether the caller has such a task. Raises `TooManyPushConfigs`."""
    given = {"agent_id": agent_id, "caller": caller, "task_id": config.task_id}
    async with conn.transaction():
        if await (await conn.execute(sql.lock_task_of_caller, given)).fetchone() is None:
            return False
        await add_push_config(conn, config)
    return True


async def add_push_config(conn: Connection, config: TaskPushNotificationConfig) -> None:
    """Store the config for a task that the caller's transaction holds. Raises `TooManyPushConfigs`."""
    parameters = {
        "task_id": config.task_id,
        "config_id": config.id,
        "config": config.SerializeToString(),
    }
    row = await (await conn.execute(sql.count_other_push_configs, parameters)).fetchone()
    if row is not None and row["others"] >= PUSH_CONFIGS_PER_TASK:
        raise TooManyPushConfigs
    await conn.execute(sql.add_push_config, parameters)


async def list_push_configs(conn: Connection, task_id: str) -> list[TaskPushNotificationConfig]:
    given = {"task_id": task_id, "limit": PUSH_CONFIGS_PER_TASK}
    rows = await (await conn.execute(sql.list_push_configs, given)).fetchall()
    return [TaskPushNotificationConfig.FromString(row["config"]) for row in rows]


async def delete_push_config(conn: Connection, task_id: str, config_id: str) -> None:
    await conn.execute(sql.delete_push_config, {"task_id": task_id, "config_id": config_id})


def _stored(row: dict[str, Any] | None) -> StoredTask | None:
    return None if row is None else _stored_task(row)


def _stored_task(row: dict[str, Any]) -> StoredTask:
    task, version = _folded(row)
    return StoredTask(
        task,
        version,
        row["state"],
        row["thread_id"],
        row["owner_key"],
        row["caller"],
    )


def _folded(row: dict[str, Any]) -> tuple[Task, int]:
    task, version = Task.FromString(row["task"]), row["version"]
    for data in row["events"]:
        for event in events_from_bytes(data):
            fold(task, event)
            version += 1
    return task, version


def _written(row: dict[str, Any] | None) -> Written | None:
    return None if row is None else Written(row["pushes"])
