"""The rows of executions. Whoever changes one holds or locks its row first, so that changes come one by one."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from groundwork.bounds import PAGE_BYTES
from groundwork.postgres.checkpoint_rows import CheckpointRows
from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries
from registry.errors import LimitReached, RegistryError
from registry.executions.events import Event, Parked
from registry.executions.merge_patch import Change
from registry.executions.models import (
    ExecutionRow,
    Finished,
    ListedExecution,
    Progress,
    Signal,
    Status,
    StoredEvent,
    TakenUp,
    Visits,
    Wait,
)
from registry.tenants.models import Limits
from registry.workflows.models import StoredWorkflow

sql = Queries("registry.executions")

Rows = Collection[Any]
"""Keys of rows that are left out of a list (see `EachRow`)."""


class ExecutionNotOurs(RegistryError):
    """The execution was cancelled, has ended, or was taken up by another worker: nothing more is to be written."""


async def take_up(conn: Connection, execution_id: UUID, driver: str) -> TakenUp | None:
    """Makes the execution this worker's and nobody else's; None when it has ended."""
    given = {"execution_id": execution_id, "driver": driver, "above_locked": False}
    row = await (await conn.execute(sql.take_up, given)).fetchone()
    if row is None and await lock_above(conn, execution_id):
        row = await (await conn.execute(sql.take_up, given | {"above_locked": True})).fetchone()
    if row is None:
        return None
    taken = TakenUp(execution_id=execution_id, **row)
    if taken.previous_status == "paused":
        await _derive_status_above(conn, taken.parent_execution_id)
    return taken


async def lock_above(conn: Connection, execution_id: UUID) -> bool:
    """Locks the executions that it was begun by, directly or not; whether there are any. To be called before the
    execution itself is locked."""
    return await (await conn.execute(sql.lock_above, {"execution_id": execution_id})).fetchone() is not None


async def _derive_status_above(conn: Connection, parent_id: UUID | None) -> None:
    """Whoever waits for an execution is paused with it, and runs with it. All of them are locked."""
    while parent_id is not None:
        row = await (await conn.execute(sql.derive_status, {"execution_id": parent_id})).fetchone()
        parent_id = row["parent_execution_id"] if row else None


async def hold(conn: Connection, execution_id: UUID, fence: int) -> None:
    """To be called first in every transaction of a worker. Raises `ExecutionNotOurs`."""
    row = await (await conn.execute(sql.hold, {"execution_id": execution_id, "fence": fence})).fetchone()
    if row is None:
        raise ExecutionNotOurs


@dataclass(frozen=True)
class Step:
    """What is written at once: rows of the graph's, and what has become of the execution with them. `patch` is
    what a node has made of the state, `state` the whole of it as the graph has it; `signals` are those it took."""

    rows: CheckpointRows
    events: Sequence[Event] = ()
    signals: Sequence[int] = ()
    state: Mapping[str, Any] | None = None
    change: Change = field(default_factory=Change)
    steps: int = 0
    cost_usd: float = 0.0
    tokens: int = 0


async def record_step(conn: Connection, execution_id: UUID, fence: int, step: Step) -> int:
    """Writes it all, in one statement; nothing, and raises `ExecutionNotOurs`, when the execution is not the
    worker's any more. Returns the number of the execution's last event."""
    text, values = step.rows.packed()
    given = {
        "execution_id": execution_id,
        "fence": fence,
        "events": _dump(step.events),
        "signals": list(step.signals),
        "state": None if step.state is None else Jsonb(step.state),
        "patch": Jsonb(dict(step.change.patch)),
        "steps": step.steps,
        "cost_usd": step.cost_usd,
        "tokens": step.tokens,
        "rows": text,
        "bytes": values,
    }
    async with conn.transaction() if step.change.removed else nullcontext():
        row = await (await conn.execute(sql.record_step, given)).fetchone()
        if row is None or row["last_sequence"] is None:
            raise ExecutionNotOurs
        if step.change.removed:
            gone = {"execution_id": execution_id, "removed": sorted(step.change.removed)}
            await conn.execute(sql.remove_from_state, gone)
    return int(row["last_sequence"])


async def append_events(conn: Connection, execution_id: UUID, events: Sequence[Event]) -> int:
    """Numbers them and adds them; the execution's row is held or locked. Returns the last one's number."""
    given = {"execution_id": execution_id, "events": _dump(events)}
    row = await (await conn.execute(sql.append_events, given)).fetchone()
    assert row is not None
    return int(row["last_sequence"])


async def charge_parent(conn: Connection, child_id: UUID) -> None:
    """Add what the child has written to what its parent, which the caller has locked, is held to."""
    await conn.execute(sql.charge_parent, {"execution_id": child_id})


def _dump(events: Sequence[Event]) -> Jsonb:
    return Jsonb([{"type": event.type, "node_id": event.node_id, "data": dict(event.data)} for event in events])


async def count_visits(conn: Connection, execution_id: UUID, node_id: str) -> Visits:
    given = {"execution_id": execution_id, "node_id": node_id}
    row = await (await conn.execute(sql.count_visits, given)).fetchone()
    assert row is not None
    return Visits(**row)


async def list_signals(conn: Connection, execution_id: UUID) -> list[Signal]:
    rows = await (await conn.execute(sql.list_signals, {"execution_id": execution_id})).fetchall()
    return [Signal(**row) for row in rows]


async def add_signal(conn: Connection, execution_id: UUID, node_id: str, payload: Mapping[str, Any]) -> None:
    """For an execution whose row is locked; whoever adds it also queues a job that takes the execution up."""
    given = {"execution_id": execution_id, "node_id": node_id, "payload": Jsonb(payload)}
    await conn.execute(sql.add_signal, given)


async def add_wait(conn: Connection, execution_id: UUID, node_id: str, parked: Parked, sequence: int) -> Wait:
    """`sequence` is the number of the event with which the node began to wait. What it may have waited for before,
    it waits for no longer."""
    await conn.execute(sql.drop_wait_of_node, {"execution_id": execution_id, "node_id": node_id})
    given = {
        "wait_id": uuid4(),
        "execution_id": execution_id,
        "node_id": node_id,
        "kind": parked.kind,
        "correlation_key": parked.correlation_key,
        "timeout": parked.timeout,
        "sequence": sequence,
        "detail": Jsonb(dict(parked.detail)),
    }
    row = await (await conn.execute(sql.add_wait, given)).fetchone()
    assert row is not None
    return Wait(**row)


async def end_wait(conn: Connection, wait_id: UUID) -> Wait | None:
    """The wait, which is over with this; None when somebody else was first."""
    row = await (await conn.execute(sql.end_wait, {"wait_id": wait_id})).fetchone()
    return Wait(**row) if row else None


async def list_waits(conn: Connection, execution_id: UUID) -> list[Wait]:
    rows = await (await conn.execute(sql.list_waits, {"execution_id": execution_id})).fetchall()
    return [Wait(**row) for row in rows]


async def take_kept_event(
    conn: Connection, execution_id: UUID, correlation_key: str | None
) -> tuple[str, Any] | None:
    """An event that came before anything waited for it, as key and payload."""
    given = {"execution_id": execution_id, "correlation_key": correlation_key}
    row = await (await conn.execute(sql.take_kept_event, given)).fetchone()
    return (row["correlation_key"], row["payload"]) if row else None


async def count_kept_events(conn: Connection, execution_id: UUID) -> int:
    row = await (await conn.execute(sql.count_kept_events, {"execution_id": execution_id})).fetchone()
    assert row is not None
    return int(row["kept"])


async def keep_event(conn: Connection, execution_id: UUID, correlation_key: str, payload: Any) -> None:
    given = {"execution_id": execution_id, "correlation_key": correlation_key, "payload": Jsonb(payload)}
    await conn.execute(sql.keep_event, given)


async def rest(conn: Connection, taken: TakenUp) -> None:
    """Lets go of it. What it was begun by is locked (see `lock_above`)."""
    await conn.execute(sql.rest, {"execution_id": taken.execution_id})
    await _derive_status_above(conn, taken.parent_execution_id)


async def finish(conn: Connection, execution_id: UUID, status: Status, error: str | None) -> Finished | None:
    """Ends the execution, and with it everything it waited for; None when it had ended before."""
    given = {"execution_id": execution_id, "status": status, "error": error}
    row = await (await conn.execute(sql.finish, given)).fetchone()
    if row is None:
        return None
    await conn.execute(sql.drop_waits, {"execution_id": execution_id})
    return Finished(execution_id=execution_id, **row)


async def create_execution(
    conn: Connection,
    *,
    execution_id: UUID,
    tenant_id: str,
    workflow: StoredWorkflow,
    given: Mapping[str, Any],
    labels: Mapping[str, str],
    timeout: timedelta | None = None,
    parent: tuple[UUID, str] | None = None,
) -> datetime | None:
    """Adds a pending execution. Returns when its time is over, if that is limited."""
    values = {
        "execution_id": execution_id,
        "tenant_id": tenant_id,
        "revision_id": workflow.revision_id,
        "workflow_id": workflow.workflow_id,
        "workflow_version": workflow.version,
        "initial_input": Jsonb(given),
        "labels": Jsonb(labels),
        "timeout": timeout,
        "parent_execution_id": parent[0] if parent else None,
        "parent_node_id": parent[1] if parent else None,
    }
    row = await (await conn.execute(sql.create_execution, values)).fetchone()
    assert row is not None
    deadline: datetime | None = row["deadline_at"]
    return deadline


async def find_execution(
    conn: Connection, execution_id: UUID, tenant_id: str | None = None
) -> ExecutionRow | None:
    """The execution; with `tenant_id`, only when it is that tenant's."""
    given = {"execution_id": execution_id, "tenant_id": tenant_id}
    row = await (await conn.execute(sql.find_execution, given)).fetchone()
    return ExecutionRow(**row) if row else None


async def lock_execution(conn: Connection, execution_id: UUID) -> Status | None:
    """Keeps everybody else from changing the execution until the transaction ends. Returns its status."""
    row = await (await conn.execute(sql.lock_execution, {"execution_id": execution_id})).fetchone()
    return row["status"] if row else None


async def find_waiting_execution(conn: Connection, wait_id: UUID) -> tuple[UUID, str] | None:
    """Return the execution, and what kind of wait it is."""
    row = await (await conn.execute(sql.find_waiting_execution, {"wait_id": wait_id})).fetchone()
    return (row["execution_id"], row["kind"]) if row else None


async def find_wait(conn: Connection, execution_id: UUID, node_id: str) -> Wait | None:
    given = {"execution_id": execution_id, "node_id": node_id}
    row = await (await conn.execute(sql.find_wait, given)).fetchone()
    return Wait(**row) if row else None


async def list_unfinished_children(conn: Connection, execution_id: UUID) -> list[UUID]:
    rows = await (await conn.execute(sql.list_unfinished_children, {"execution_id": execution_id})).fetchall()
    return [row["execution_id"] for row in rows]


async def list_abandoned(conn: Connection, seconds: float, *, limit: int, but: Rows = ()) -> list[UUID]:
    """Executions that ought to be in a worker's hands, or on their way there, and of which nothing is heard."""
    cursor = await conn.execute(sql.list_abandoned, {"seconds": seconds, "limit": limit, "but": list(but)})
    return [row["execution_id"] for row in await cursor.fetchall()]


async def list_overdue_waits(conn: Connection, seconds: float, *, limit: int, but: Rows = ()) -> list[UUID]:
    """What was to end by itself so long ago, and has not."""
    cursor = await conn.execute(sql.list_overdue_waits, {"seconds": seconds, "limit": limit, "but": list(but)})
    return [row["wait_id"] for row in await cursor.fetchall()]


async def list_overdue(conn: Connection, seconds: float, *, limit: int, but: Rows = ()) -> list[UUID]:
    """Executions whose time was over so long ago, and that have not ended."""
    cursor = await conn.execute(sql.list_overdue, {"seconds": seconds, "limit": limit, "but": list(but)})
    return [row["execution_id"] for row in await cursor.fetchall()]


async def list_unreported(conn: Connection, seconds: float, *, limit: int, but: Rows = ()) -> list[UUID]:
    """Executions that ended so long ago, and whose parents have not heard of it."""
    cursor = await conn.execute(sql.list_unreported, {"seconds": seconds, "limit": limit, "but": list(but)})
    return [row["execution_id"] for row in await cursor.fetchall()]


async def is_held(conn: Connection, execution_id: UUID, fence: int) -> bool:
    """Whether `hold` would succeed; nothing is locked."""
    given = {"execution_id": execution_id, "fence": fence}
    return await (await conn.execute(sql.is_held, given)).fetchone() is not None


async def count_ancestors(conn: Connection, execution_id: UUID) -> int:
    """How many executions it is nested in."""
    row = await (await conn.execute(sql.count_ancestors, {"execution_id": execution_id})).fetchone()
    assert row is not None
    return int(row["ancestors"])


async def count_family(conn: Connection, execution_id: UUID) -> int:
    """How many have not ended of it, what it is nested in, and all that these have begun."""
    row = await (await conn.execute(sql.count_family, {"execution_id": execution_id})).fetchone()
    assert row is not None
    return int(row["members"])


async def note_child(conn: Connection, wait_id: UUID, child_id: UUID) -> None:
    await conn.execute(sql.note_child, {"wait_id": wait_id, "child_id": str(child_id)})


async def find_last_event(
    conn: Connection, execution_id: UUID, type_: str, node_ids: Sequence[str]
) -> StoredEvent | None:
    """The last one of that type at any of the nodes."""
    given = {"execution_id": execution_id, "type": type_, "node_ids": list(node_ids)}
    row = await (await conn.execute(sql.find_last_event, given)).fetchone()
    return StoredEvent(**row) if row else None


async def list_outputs(conn: Connection, execution_id: UUID, node_ids: Sequence[str]) -> dict[str, Any]:
    """What the nodes gave when they were last completed; those that were not are left out."""
    given = {"execution_id": execution_id, "node_ids": list(node_ids)}
    rows = await (await conn.execute(sql.list_outputs, given)).fetchall()
    return {row["node_id"]: row["output"] for row in rows}


async def list_tried_tools(conn: Connection, execution_id: UUID, node_ids: Sequence[str]) -> set[str]:
    """Those of the nodes whose tools have done their work, or failed to for good."""
    given = {"execution_id": execution_id, "node_ids": list(node_ids)}
    rows = await (await conn.execute(sql.list_tried_tools, given)).fetchall()
    return {row["node_id"] for row in rows}


async def list_executions(
    conn: Connection, tenant_id: str, status: Status | None, limit: int, offset: int
) -> list[ListedExecution]:
    """The newest first."""
    given = {"tenant_id": tenant_id, "status": status, "limit": limit, "offset": offset}
    statement = sql.list_executions if status is None else sql.list_executions_by_status
    return [ListedExecution(**row) for row in await (await conn.execute(statement, given)).fetchall()]


async def list_events(
    conn: Connection, execution_id: UUID, after: int = 0, limit: int | None = None
) -> list[StoredEvent]:
    """Return the next events: with a limit, at most `PAGE_BYTES` of them or one."""
    given = {"execution_id": execution_id, "after": after, "limit": limit, "bytes": limit and PAGE_BYTES}
    return [StoredEvent(**row) for row in await (await conn.execute(sql.list_events, given)).fetchall()]


async def find_progress(conn: Connection, execution_id: UUID, tenant_id: str) -> Progress | None:
    """None when it is not there, or not the tenant's."""
    given = {"execution_id": execution_id, "tenant_id": tenant_id}
    row = await (await conn.execute(sql.find_progress, given)).fetchone()
    return Progress(**row) if row else None


async def list_decided_approvals(conn: Connection, execution_id: UUID) -> list[StoredEvent]:
    """The decisions about the execution itself come first, then those about executions that it has begun."""
    rows = await (await conn.execute(sql.list_decided_approvals, {"execution_id": execution_id})).fetchall()
    return [StoredEvent(**row) for row in rows]


async def list_pending_approvals(conn: Connection, execution_id: UUID) -> list[Wait]:
    """Those of the execution itself come first, then those of executions that it has begun."""
    rows = await (await conn.execute(sql.list_pending_approvals, {"execution_id": execution_id})).fetchall()
    return [Wait(**row) for row in rows]


async def find_event_wait(conn: Connection, execution_id: UUID, correlation_key: str) -> Wait | None:
    """What waits for an event of that key; what waits for any event comes last."""
    given = {"execution_id": execution_id, "correlation_key": correlation_key}
    row = await (await conn.execute(sql.find_event_wait, given)).fetchone()
    return Wait(**row) if row else None


async def check_limits(conn: Connection, tenant_id: str, limits: Limits) -> None:
    """Raises `LimitReached`. The caller has locked the limits, so that two cannot both take the last place."""
    if limits.max_concurrent_executions is None and limits.executions_per_minute is None:
        return
    row = await (await conn.execute(sql.count_executions, {"tenant_id": tenant_id})).fetchone()
    assert row is not None
    at_once, per_minute = limits.max_concurrent_executions, limits.executions_per_minute
    if at_once is not None and row["unfinished"] >= at_once:
        raise LimitReached(f"tenant {tenant_id} may have {at_once} executions at once")
    if per_minute is not None and row["last_minute"] >= per_minute:
        raise LimitReached(f"tenant {tenant_id} may start {per_minute} executions a minute")
