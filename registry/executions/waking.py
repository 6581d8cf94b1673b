"""Answering what a node waits for: the wait ends, the event is on record, and a job is queued, all at once."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from groundwork.postgres.pool import Connection
from registry.executions import store
from registry.executions.events import Event
from registry.executions.models import Finished, Status, Wait
from registry.questions.models import SYSTEM
from registry.questions.store import note_decision
from registry.queue.jobs import Jobs


async def wake(
    conn: Connection, jobs: Jobs, wait: Wait, payload: Mapping[str, Any], events: Sequence[Event] = ()
) -> None:
    """Ends a wait that `store.end_wait` has just given the caller, who has locked the execution."""
    if events:
        await store.append_events(conn, wait.execution_id, events)
    await store.add_signal(conn, wait.execution_id, wait.node_id, payload)
    await jobs.defer_drive(conn, wait.execution_id)


async def ring(conn: Connection, jobs: Jobs, wait_id: UUID) -> None:
    """The time of a wait is over, if it still waits."""
    found = await store.find_waiting_execution(conn, wait_id)
    if found is None:
        return
    execution_id, waits_for = found
    await store.lock_execution(conn, execution_id)
    if waits_for in ("approval", "event"):
        await note_decision(conn, wait_id, {"decision": "timeout"}, by=SYSTEM, role=SYSTEM)
    wait = await store.end_wait(conn, wait_id)
    if wait is None:
        return
    events = [] if wait.kind == "retry" else [Event("timer_fired", wait.node_id, {"timer_id": str(wait_id)})]
    kind = "retry" if wait.kind == "retry" else "timeout"
    await wake(conn, jobs, wait, {"kind": kind, **wait.detail}, events)


async def expire(conn: Connection, jobs: Jobs, execution_id: UUID) -> None:
    """The time of an execution is over, wherever it is."""
    await store.lock_execution(conn, execution_id)
    reason = "the workflow's time is over"
    event = Event("strategy_limit_hit", None, {"limit": "workflow_timeout", "reason": reason})
    await finish(conn, jobs, execution_id, "limit_exceeded", event, reason)


async def finish(
    conn: Connection, jobs: Jobs, execution_id: UUID, status: Status, event: Event, error: str | None = None
) -> Finished | None:
    """Ends an execution whose row the caller has locked or holds; its parent, if any, hears of it.

    None when it had ended before: then nothing was written.
    """
    finished = await store.finish(conn, execution_id, status, error)
    if finished is None:
        return None
    await store.append_events(conn, execution_id, [event])
    for child_id in await store.list_unfinished_children(conn, execution_id):
        stopped = Event("workflow_cancelled", None, {"reason": "the execution that began it has ended"})
        await store.lock_execution(conn, child_id)
        await finish(conn, jobs, child_id, "cancelled", stopped)
    if finished.parent_execution_id is not None:
        # In a transaction of its own: a parent that ends locks itself first and its children then.
        await jobs.defer_report(conn, execution_id)
    return finished


async def report_to_parent(conn: Connection, jobs: Jobs, child_id: UUID) -> None:
    """Wakes the node that began the child, which has ended."""
    child = await store.find_execution(conn, child_id)
    if child is None or child.parent_execution_id is None or child.parent_node_id is None:
        return
    await store.lock_execution(conn, child.parent_execution_id)
    wait = await store.find_wait(conn, child.parent_execution_id, child.parent_node_id)
    if wait is None or wait.detail.get("child_id") != str(child.execution_id):
        return  # the parent has ended, or waits for another one
    if await store.end_wait(conn, wait.wait_id) is not None:
        await store.charge_parent(conn, child_id)
        payload = {"kind": "child", "status": child.status, "state": child.state, "error": child.error}
        await wake(conn, jobs, wait, payload)
