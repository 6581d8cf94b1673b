"""The rows behind workers."""

from collections.abc import Sequence
from datetime import datetime

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries
from registry.workers.models import Worker, WorkerStatus

sql = Queries("registry.workers")


async def put_worker(
    conn: Connection,
    *,
    tenant_id: str | None,
    worker_id: str,
    queue_types: Sequence[str],
    status: WorkerStatus,
    in_hand: Sequence[str],
    started_at: datetime | None,
    seconds: float,
) -> datetime:
    """Takes the lease, or renews it, for so many seconds, and returns when the worker has started; None: now."""
    given = {
        "tenant_id": tenant_id,
        "worker_id": worker_id,
        "queue_types": list(queue_types),
        "status": status,
        "in_hand": list(in_hand),
        "started_at": started_at,
        "seconds": seconds,
    }
    row = await (await conn.execute(sql.put_worker, given)).fetchone()
    assert row is not None
    moment: datetime = row["started_at"]
    return moment


async def remove_worker(conn: Connection, tenant_id: str | None, worker_id: str) -> None:
    await conn.execute(sql.remove_worker, {"tenant_id": tenant_id, "worker_id": worker_id})


async def forget_dead_workers(conn: Connection) -> None:
    await conn.execute(sql.forget_dead_workers)


async def list_workers(conn: Connection, tenant_id: str, limit: int) -> list[Worker]:
    """The tenant's workers and those of the registry itself, as far as they live."""
    rows = await conn.execute(sql.list_workers, {"tenant_id": tenant_id, "limit": limit})
    return [Worker(**row) for row in await rows.fetchall()]
