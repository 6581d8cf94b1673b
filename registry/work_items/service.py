"""Work for workers outside the registry: they ask for it, keep it while they renew, and say what came of it.

Every change locks the execution first, as all changes of executions do.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from groundwork.postgres.pool import Connection, Pool, connection, transaction
from groundwork.process.each_row import EachRow
from registry.access import Principal
from registry.errors import Conflict
from registry.executions import store as executions
from registry.executions.events import Event
from registry.executions.waking import wake
from registry.queue.jobs import Jobs
from registry.work_items import store
from registry.work_items.models import WorkItem
from registry.workers.store import put_worker

_CANDIDATES = 10
_NOT_MINE = "unknown node_id"
"""What JamJet's older workers say of an item that is not for them: they go by the node's name alone."""

_USAGE = ("gen_ai_system", "gen_ai_model", "input_tokens", "output_tokens", "finish_reason", "cost_usd")


class WorkItems:
    """The work of all tenants; a worker sees its token's tenant's. Raises `DatabaseUnavailable` everywhere."""

    def __init__(self, pool: Pool, jobs: Jobs) -> None:
        self._pool = pool
        self._jobs = jobs

    async def claim(self, principal: Principal, worker_id: str, queue_types: Sequence[str]) -> WorkItem | None:
        """The oldest item of those queues that nobody has; None when there is none."""
        async with connection(self._pool) as conn:
            await self._note_worker(conn, principal, worker_id, queue_types)
            candidates = await store.list_claimable(conn, principal.tenant_id, worker_id, queue_types, _CANDIDATES)
            for work_item_id, execution_id in candidates:
                async with conn.transaction():
                    item = await self._take(conn, work_item_id, execution_id, worker_id)
                if item is not None:
                    return item
        return None

    async def complete(
        self, principal: Principal, work_item_id: UUID, lease_fence: int | None, result: Mapping[str, Any]
    ) -> None:
        """Records the node's completion. Raises `Conflict` for an item that is settled or another worker's."""
        async with transaction(self._pool) as conn:
            item = await self._hold(conn, principal, work_item_id, lease_fence)
            wait = await executions.end_wait(conn, item.work_item_id)
            assert wait is not None
            output, patch = result.get("output"), result.get("state_patch") or {}
            told = {
                "output": output,
                "state_patch": patch,
                "duration_ms": result.get("duration_ms"),
                **{name: result[name] for name in _USAGE if result.get(name) is not None},
            }
            event = Event("node_completed", item.node_id, told)
            payload = {"kind": "work", "output": output, "state_patch": patch}
            await wake(conn, self._jobs, wait, payload, [event])

    async def fail(self, principal: Principal, work_item_id: UUID, lease_fence: int | None, error: str) -> None:
        """What becomes of it, the node's retry policy decides. Raises `Conflict` as `complete` does."""
        async with transaction(self._pool) as conn:
            item = await self._hold(conn, principal, work_item_id, lease_fence)
            if error.startswith(_NOT_MINE):
                await store.give_back(conn, item.work_item_id, item.worker_id or "")
                return
            wait = await executions.end_wait(conn, item.work_item_id)
            assert wait is not None
            await wake(conn, self._jobs, wait, {"kind": "work", "error": error})

    async def renew(self, principal: Principal, work_item_id: UUID, lease_fence: int | None) -> None:
        """Raises `Conflict` for an item that is settled or another worker's."""
        async with connection(self._pool) as conn:
            if not await store.renew(conn, principal.tenant_id, work_item_id, lease_fence):
                raise _lost(work_item_id)

    async def _note_worker(
        self, conn: Connection, principal: Principal, worker_id: str, queue_types: Sequence[str]
    ) -> None:
        await put_worker(
            conn,
            tenant_id=principal.tenant_id,
            worker_id=worker_id,
            queue_types=queue_types,
            status="active",
            in_hand=[],
            started_at=None,
            seconds=store.LEASE_SECONDS,
        )

    async def _take(
        self, conn: Connection, work_item_id: UUID, execution_id: UUID, worker_id: str
    ) -> WorkItem | None:
        await executions.lock_execution(conn, execution_id)
        item = await store.claim(conn, work_item_id, worker_id)
        if item is not None:
            started = Event("node_started", item.node_id, {"attempt": item.attempt, "worker_id": worker_id})
            await executions.append_events(conn, execution_id, [started])
        return item

    async def _hold(
        self, conn: Connection, principal: Principal, work_item_id: UUID, lease_fence: int | None
    ) -> WorkItem:
        """The item, once nobody else can settle it. A worker that names no fence must have been given the item."""
        item = await store.find_work_item(conn, principal.tenant_id, work_item_id)
        if item is not None:
            await executions.lock_execution(conn, item.execution_id)
            item = await store.find_work_item(conn, principal.tenant_id, work_item_id)
        if item is None or item.worker_id is None or lease_fence not in (None, item.lease_fence):
            raise _lost(work_item_id)
        return item


async def expire_leases(conn: Connection, jobs: Jobs, rows: EachRow, *, limit: int) -> None:
    """Takes items from workers that have not been heard of for too long; their nodes' retry policies decide."""
    for work_item_id, execution_id in await store.list_expired(conn, limit, rows.resting()):
        with rows.handling(work_item_id, work_item_id=work_item_id, execution_id=execution_id):
            async with conn.transaction():
                await executions.lock_execution(conn, execution_id)
                if not await store.is_expired(conn, work_item_id):
                    continue
                wait = await executions.end_wait(conn, work_item_id)
                if wait is not None:
                    await wake(conn, jobs, wait, {"kind": "work", "error": "the worker was not heard of in time"})


def _lost(work_item_id: UUID) -> Conflict:
    return Conflict(f"work item {work_item_id} is settled, or another worker has it")
