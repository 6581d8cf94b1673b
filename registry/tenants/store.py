"""The rows behind tenants. A `scope` is the only tenant that is there for the caller; None: every one is."""

from dataclasses import replace
from typing import Any, LiteralString

from psycopg.types.json import Jsonb

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries
from registry.errors import Conflict, Forbidden, NotFound
from registry.tenants.models import Limits, Tenant, is_tenant_id

sql = Queries("registry.tenants")

BELONGINGS = (
    "checkpoint_writes",
    "checkpoint_blobs",
    "checkpoints",
    "executions",
    "workflows",
    "cron_jobs",
    "artifacts",
    "erasures",
    "questions",
    "agents",
    "agent_usage",
    "components",
    "component_generations",
    "tokens",
    "workers",
)
"""What a tenant has and what goes with it, in this order; for each there is a statement. A new noun joins here."""


async def lock_limits(conn: Connection, tenant_id: str) -> Limits:
    """What the tenant may have. To be called first in a transaction that makes something that is limited, before
    what is there is counted: of two that want the last place, the second counts the first one's.

    Raises `NotFound` when the tenant is no more, and `Forbidden` when it was suspended since the request came in.
    """
    row = await (await conn.execute(sql.lock_limits, {"tenant_id": tenant_id})).fetchone()
    if row is None or row["status"] == "deleted":
        raise NotFound(f"tenant {tenant_id}")
    if row["status"] != "active":
        raise Forbidden(f"tenant {tenant_id} is {row['status']}")
    return Limits.of(row["limits"])


async def create_tenant(
    conn: Connection, tenant_id: str, name: str, policy: dict[str, Any], limits: dict[str, int | float]
) -> Tenant:
    """Raises `Conflict` when there is or was a tenant of that id."""
    given = {"tenant_id": tenant_id, "name": name, "policy": Jsonb(policy), "limits": Jsonb(limits)}
    if (await conn.execute(sql.create_tenant, given)).rowcount == 0:
        raise Conflict(f"there is or was a tenant {tenant_id}; the id of a deleted one is not given out again")
    return await get_tenant(conn, None, tenant_id)


async def get_tenant(conn: Connection, scope: str | None, tenant_id: str) -> Tenant:
    """Raises `NotFound`."""
    return await _one_tenant(conn, sql.get_tenant, tenant_id, scope=scope)


async def lock_tenant(conn: Connection, tenant_id: str) -> Tenant:
    """The tenant, which nobody else changes until this transaction ends. Raises `NotFound`."""
    return await _one_tenant(conn, sql.lock_tenant, tenant_id)


async def list_tenants(conn: Connection, scope: str | None, limit: int | None, offset: int) -> list[Tenant]:
    """In the order in which they were made; all of them without a `limit`."""
    given = {"scope": scope, "limit": limit, "offset": offset}
    return [Tenant(**row) for row in await (await conn.execute(sql.list_tenants, given)).fetchall()]


async def count_tenants(conn: Connection, scope: str | None) -> int:
    row = await (await conn.execute(sql.count_tenants, {"scope": scope})).fetchone()
    assert row is not None
    return int(row["total"])


async def update_tenant(conn: Connection, tenant: Tenant) -> Tenant:
    """Stores the tenant as it is given, and returns it with the time of that."""
    given = {
        "tenant_id": tenant.tenant_id,
        "name": tenant.name,
        "status": tenant.status,
        "policy": Jsonb(tenant.policy),
        "limits": Jsonb(tenant.limits),
    }
    row = await (await conn.execute(sql.update_tenant, given)).fetchone()
    assert row is not None
    return replace(tenant, updated_at=row["updated_at"])


async def delete_tenant(conn: Connection, tenant_id: str) -> dict[str, int]:
    """Deletes the tenant and what it has; returns how much of what that was. Its row stays, and its audit log."""
    given = {"tenant_id": tenant_id}
    await conn.execute(sql.delete_tenant, given)
    await conn.execute(sql.lock_executions, given)
    return {noun: (await conn.execute(getattr(sql, f"delete_{noun}"), given)).rowcount for noun in BELONGINGS}


async def _one_tenant(conn: Connection, statement: LiteralString, tenant_id: str, **more: str | None) -> Tenant:
    found = None
    if is_tenant_id(tenant_id):
        found = await (await conn.execute(statement, {"tenant_id": tenant_id, **more})).fetchone()
    if found is None:
        raise NotFound(f"tenant {tenant_id}")
    return Tenant(**found)
