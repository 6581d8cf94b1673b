"""Audit logs for tests: entries as the registry writes them, and hands that can do what it never does."""

from typing import Any

from groundwork.postgres.pool import Connection, Pool
from registry.access import COMMAND_LINE, Principal
from registry.audit.store import append_entry


def actor(actor_id: str, tenant_id: str = "default") -> Principal:
    return Principal(tenant_id, "developer", actor_id)


async def write_entries(pool: Pool, count: int, tenant_id: str = "default", **detail: Any) -> None:
    for number in range(1, count + 1):
        await write_entry(pool, "agent_updated", f"agent:{number}", tenant_id=tenant_id, **detail)


async def write_entry(
    pool: Pool, event_type: str, subject: str, principal: Principal = COMMAND_LINE, **given: Any
) -> None:
    async with pool.connection() as conn, conn.transaction():
        await append_entry(conn, principal, event_type, subject, **given)


async def tamper(pool: Pool, statement: str) -> None:
    """What a superuser can do: put the guards aside, change the log, and put them back."""
    async with pool.connection() as conn, conn.transaction():
        await _guard(conn, "DISABLE")
        await conn.execute(statement)
        await _guard(conn, "ENABLE")


async def _guard(conn: Connection, verb: str) -> None:
    for table in ("audit_entries", "audit_chains"):
        await conn.execute(f"ALTER TABLE {table} {verb} TRIGGER ALL")
