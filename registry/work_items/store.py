"""The rows of work items. An item lives as long as the wait whose id it has."""

from collections.abc import Collection, Sequence
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries
from registry.executions.events import ExecutionRef
from registry.executions.models import Wait
from registry.work_items.models import WorkItem

sql = Queries("registry.work_items")

LEASE_SECONDS = 30.0
"""How long a worker has an item without renewing; at least the node's timeout, since some workers never renew."""


async def add_work_item(conn: Connection, execution: ExecutionRef, wait: Wait) -> None:
    """Offers what the wait is for to the workers of its queue."""
    given = {
        "work_item_id": wait.wait_id,
        "tenant_id": execution.tenant_id,
        "execution_id": wait.execution_id,
        "node_id": wait.node_id,
        "queue_type": wait.detail["queue_type"],
        "payload": Jsonb(wait.detail["payload"]),
        "attempt": wait.detail["attempt"],
        "idempotency_key": wait.detail["idempotency_key"],
        "lease_seconds": wait.detail["lease_seconds"],
    }
    await conn.execute(sql.add_work_item, given)


async def list_claimable(
    conn: Connection, tenant_id: str, worker_id: str, queue_types: Sequence[str], limit: int
) -> list[tuple[UUID, UUID]]:
    """Items that the worker could take, the oldest first, each with its execution."""
    given = {"tenant_id": tenant_id, "worker_id": worker_id, "queue_types": list(queue_types), "limit": limit}
    rows = await (await conn.execute(sql.list_claimable, given)).fetchall()
    return [(row["work_item_id"], row["execution_id"]) for row in rows]


async def claim(conn: Connection, work_item_id: UUID, worker_id: str) -> WorkItem | None:
    """The item, which is the worker's now; None when another one was first."""
    given = {"work_item_id": work_item_id, "worker_id": worker_id, "seconds": LEASE_SECONDS}
    row = await (await conn.execute(sql.claim, given)).fetchone()
    return WorkItem(**row) if row else None


async def find_work_item(conn: Connection, tenant_id: str, work_item_id: UUID) -> WorkItem | None:
    given = {"work_item_id": work_item_id, "tenant_id": tenant_id}
    row = await (await conn.execute(sql.find_work_item, given)).fetchone()
    return WorkItem(**row) if row else None


async def renew(conn: Connection, tenant_id: str, work_item_id: UUID, lease_fence: int | None) -> bool:
    """Whether the item still is that worker's."""
    given = {
        "work_item_id": work_item_id,
        "tenant_id": tenant_id,
        "lease_fence": lease_fence,
        "seconds": LEASE_SECONDS,
    }
    return await (await conn.execute(sql.renew, given)).fetchone() is not None


async def give_back(conn: Connection, work_item_id: UUID, worker_id: str) -> None:
    """Leaves the item to others: that worker is not offered it again."""
    await conn.execute(sql.give_back, {"work_item_id": work_item_id, "worker_id": worker_id})


async def list_expired(conn: Connection, limit: int, but: Collection[Any]) -> list[tuple[UUID, UUID]]:
    """Items whose workers have not been heard of for too long, without `but`, each with its execution."""
    rows = await (await conn.execute(sql.list_expired, {"limit": limit, "but": list(but)})).fetchall()
    return [(row["work_item_id"], row["execution_id"]) for row in rows]


async def is_expired(conn: Connection, work_item_id: UUID) -> bool:
    return await (await conn.execute(sql.is_expired, {"work_item_id": work_item_id})).fetchone() is not None
