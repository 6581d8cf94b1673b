"""What happens when a node begins to wait, in the transaction in which it does."""

from collections.abc import Awaitable, Callable, Mapping

from groundwork.postgres.pool import Connection
from registry.engine.toolbox import WorkerContext
from registry.executions import store
from registry.executions.events import ExecutionRef, Parked
from registry.executions.models import Wait
from registry.executions.waking import wake
from registry.work_items.store import add_work_item
from registry.workflows.ir import Node


async def park(
    conn: Connection,
    worker_context: WorkerContext,
    ref: ExecutionRef,
    node: Node,
    parked: Parked,
    *,
    sequence: int,
) -> None:
    """Writes down what the node waits for, and sets going what will answer it."""
    wait = await store.add_wait(conn, ref.execution_id, node.node_id, parked, sequence)
    if wait.due_at is not None:
        await worker_context.jobs.defer_ring(conn, wait.wait_id, wait.due_at)
    begin = _BEGIN.get(parked.kind)
    if begin is not None:
        await begin(conn, worker_context, ref, wait)


async def _look_for_kept_event(
    conn: Connection, worker_context: WorkerContext, ref: ExecutionRef, wait: Wait
) -> None:
    """An event may have come before anything waited for its key."""
    kept = await store.take_kept_event(conn, ref.execution_id, wait.correlation_key)
    if kept is None or await store.end_wait(conn, wait.wait_id) is None:
        return
    key, payload = kept
    await wake(conn, worker_context.jobs, wait, {"kind": "event", "correlation_key": key, "payload": payload})


async def _offer_work(conn: Connection, worker_context: WorkerContext, ref: ExecutionRef, wait: Wait) -> None:
    await add_work_item(conn, ref, wait)


async def _begin_child(conn: Connection, worker_context: WorkerContext, ref: ExecutionRef, wait: Wait) -> None:
    await worker_context.starter.start_child(conn, ref, wait)


_BEGIN: Mapping[str, Callable[[Connection, WorkerContext, ExecutionRef, Wait], Awaitable[None]]] = {
    "event": _look_for_kept_event,
    "work": _offer_work,
    "child": _begin_child,
}
