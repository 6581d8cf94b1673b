"""What other parts of the registry rely on when they ask what a tenant may have."""

import asyncio

import pytest

from registry.access import COMMAND_LINE
from registry.errors import Forbidden, NotFound
from registry.tenants.models import GivenLimits, Limits, NewTenant, TenantChanges
from registry.tenants.service import Tenants
from registry.tenants.store import lock_limits


@pytest.fixture
async def acme(registry_pool):
    tenants = Tenants(registry_pool)
    await tenants.create_tenant(COMMAND_LINE, NewTenant(id="acme", limits=GivenLimits(max_agents=1)))
    return tenants


async def test_a_tenant_without_limits_has_none(registry_pool):
    async with registry_pool.connection() as conn, conn.transaction():
        assert await lock_limits(conn, "default") == Limits()


async def test_limits_are_those_that_are_set(registry_pool, acme):
    changes = TenantChanges(limits=GivenLimits(max_agents=0, executions_per_minute=60, max_workflows=3))
    await acme.update_tenant(COMMAND_LINE, "acme", changes)
    async with registry_pool.connection() as conn, conn.transaction():
        assert await lock_limits(conn, "acme") == Limits(max_agents=0, executions_per_minute=60)


async def test_of_two_that_want_the_last_place_one_gets_it(registry_pool, acme):
    async def take_a_place(number):
        async with registry_pool.connection() as conn, conn.transaction():
            limits = await lock_limits(conn, "acme")
            row = await (await conn.execute("SELECT count(*) AS taken FROM places")).fetchone()
            if row["taken"] >= limits.max_agents:
                return False
            await asyncio.sleep(0.05)
            await conn.execute("INSERT INTO places VALUES (%s)", [number])
            return True

    async with registry_pool.connection() as conn:
        await conn.execute("CREATE TABLE places (number int)")
    assert sorted(await asyncio.gather(*map(take_a_place, range(5)))) == [False, False, False, False, True]


async def test_a_tenant_is_not_suspended_while_something_is_made(registry_pool, acme):
    async with registry_pool.connection() as conn, conn.transaction():
        await lock_limits(conn, "acme")
        suspending = asyncio.create_task(
            acme.update_tenant(COMMAND_LINE, "acme", TenantChanges(status="suspended"))
        )
        await asyncio.sleep(0.1)
        assert not suspending.done()
    await suspending


async def test_nothing_is_made_for_a_tenant_that_was_suspended_or_deleted_meanwhile(registry_pool, acme):
    await acme.update_tenant(COMMAND_LINE, "acme", TenantChanges(status="suspended"))
    async with registry_pool.connection() as conn:
        with pytest.raises(Forbidden, match="tenant acme is suspended"):
            await lock_limits(conn, "acme")
        await acme.delete_tenant(COMMAND_LINE, "acme")
        with pytest.raises(NotFound):
            await lock_limits(conn, "acme")
