"""The audit log only grows, in one order for each tenant, together with what its entries are about."""

import asyncio

import psycopg
import pytest

from groundwork.postgres.pool import Pool, open_pool
from registry.access import COMMAND_LINE
from registry.audit.models import AuditQuery
from registry.audit.service import Audit
from registry.audit.store import append_entry
from tests.registry.audit.logs import write_entries, write_entry


async def sequences(pool: Pool, tenant_id: str = "default") -> list[int]:
    page = await Audit(pool).list_entries(tenant_id, AuditQuery(limit=200))
    return [entry.sequence for entry in reversed(page.entries)]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_entries SET actor_id = 'nobody'",
        "DELETE FROM audit_entries WHERE sequence = 1",
        "TRUNCATE audit_entries",
        "UPDATE audit_chains SET hash = ''",
        "UPDATE audit_chains SET tenant_id = 'other', sequence = sequence + 1",
        "DELETE FROM audit_chains",
        "TRUNCATE audit_chains",
    ],
)
async def test_its_owner_cannot_change_it(registry_pool: Pool, statement: str) -> None:
    await write_entries(registry_pool, 2)
    async with registry_pool.connection() as conn:
        with pytest.raises(psycopg.DatabaseError, match="the audit log is append-only"):
            await conn.execute(statement)
    assert await sequences(registry_pool) == [1, 2]


async def test_fifty_writers_at_once_make_one_chain_without_a_gap(registry_dsn: str) -> None:
    async with open_pool(registry_dsn, name="writers", max_size=50) as pool:
        await asyncio.gather(*(write_entry(pool, "agent_updated", f"agent:{n}") for n in range(50)))
        assert await sequences(pool) == list(range(1, 51))
        (report,) = await Audit(pool).verify()
    assert (report.entries, report.problem) == (50, None)


async def test_what_is_rolled_back_leaves_no_entry(registry_pool: Pool) -> None:
    await write_entries(registry_pool, 1)
    async with registry_pool.connection() as conn, conn.transaction():
        await append_entry(conn, COMMAND_LINE, "agent_deleted", "agent:1")
        raise psycopg.Rollback
    await write_entries(registry_pool, 1)
    assert await sequences(registry_pool) == [1, 2]
    page = await Audit(registry_pool).list_entries("default", AuditQuery(event_type="agent_deleted"))
    assert (page.total, page.entries) == (0, [])


async def test_a_first_entry_that_is_rolled_back_lets_another_be_the_first(registry_pool: Pool) -> None:
    async with registry_pool.connection() as conn:
        async with conn.transaction():
            await append_entry(conn, COMMAND_LINE, "agent_deleted", "agent:1")
            waiting = asyncio.create_task(write_entries(registry_pool, 1))
            await asyncio.sleep(0.1)
            assert not waiting.done()
            raise psycopg.Rollback
        await waiting
    assert await sequences(registry_pool) == [1]


async def test_tenants_do_not_wait_for_each_other(registry_pool: Pool) -> None:
    async with registry_pool.connection() as conn, conn.transaction():
        await append_entry(conn, COMMAND_LINE, "agent_deleted", "agent:1")
        async with asyncio.timeout(5):
            await write_entries(registry_pool, 1, "acme")
    assert await sequences(registry_pool, "acme") == await sequences(registry_pool) == [1]
