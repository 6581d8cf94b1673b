"""The workers that live are listed, with what they do."""

import asyncio
import time
from typing import Any

from groundwork.postgres.pool import Pool
from registry.workers.lease import open_worker_lease
from tests.registry.executions.runs import TWO_STEPS, start
from tests.registry.registries import Served


async def workers(registry: Served, tenant_id: str = "default") -> list[dict[str, Any]]:
    answer = await (await registry.client_of("viewer", tenant_id)).get("/workers")
    assert answer.status_code == 200
    found: list[dict[str, Any]] = answer.json()["workers"]
    return found


async def rows(pool: Pool) -> int:
    async with pool.connection() as conn:
        row = await (await conn.execute("SELECT count(*) AS n FROM workers")).fetchone()
    assert row is not None
    return int(row["n"])


async def test_there_are_none_at_first(registry):
    assert (await registry.http.get("/workers")).json() == {"workers": []}


async def test_only_those_with_a_token_see_them(registry):
    assert (await (await registry.client()).get("/workers")).status_code == 401


async def test_a_worker_is_listed_while_it_holds_its_lease(registry, registry_pool):
    async with open_worker_lease(registry_pool, "w1", ["tools", "models"], 30):
        (worker,) = await workers(registry)
        assert worker.keys() == {"worker_id", "queue_types", "status", "in_hand", "started_at", "last_seen"}
        assert (worker["worker_id"], worker["queue_types"]) == ("w1", ["tools", "models"])
        assert (worker["status"], worker["in_hand"]) == ("active", [])
        assert worker["started_at"] == worker["last_seen"]
    assert await workers(registry) == []


async def test_what_a_worker_has_in_hand_shows_with_the_next_renewal_to_those_whose_it_is(registry, registry_pool):
    own = await start(registry.http, TWO_STEPS)
    foreign = await start(await registry.client_of("developer", "acme"), TWO_STEPS)
    async with open_worker_lease(registry_pool, "w1", [], 0.9) as lease:
        (first,) = await workers(registry)
        lease.in_hand |= {own, foreign}
        lease.status = "draining"
        await asyncio.sleep(0.5)
        (worker,) = await workers(registry)
    assert (worker["status"], worker["in_hand"]) == ("draining", [own])
    assert worker["started_at"] == first["started_at"] < worker["last_seen"]


async def test_a_worker_that_lives_stays_longer_than_a_term(registry, registry_pool):
    async with open_worker_lease(registry_pool, "w1", [], 1):
        for _ in range(3):
            await asyncio.sleep(0.6)
            assert len(await workers(registry)) == 1


async def test_a_worker_that_died_is_gone_after_a_term_and_forgotten_after_an_hour(registry, registry_pool):
    async with (
        open_worker_lease(registry_pool, "other", [], 30) as other,
        open_worker_lease(registry_pool, "dead", [], 30),
        registry_pool.connection() as conn,
    ):
        await conn.execute("UPDATE workers SET lease_until = now() WHERE worker_id = 'dead'")
        assert [worker["worker_id"] for worker in await workers(registry)] == ["other"]
        await other.renew(conn)
        assert await rows(registry_pool) == 2
        await conn.execute(
            "UPDATE workers SET lease_until = now() - interval '61 minutes' WHERE worker_id = 'dead'"
        )
        await other.renew(conn)
        assert await rows(registry_pool) == 1


async def test_a_lease_that_was_forgotten_comes_back_as_it_was(registry, registry_pool):
    async with open_worker_lease(registry_pool, "w1", [], 30) as lease:
        (before,) = await workers(registry)
        async with registry_pool.connection() as conn:
            await conn.execute("DELETE FROM workers")
            await lease.renew(conn)
        (after,) = await workers(registry)
    assert after["started_at"] == before["started_at"]


async def test_a_tenant_sees_its_own_workers_and_the_registrys(registry, registry_pool):
    await registry.http.post("/tenants", json={"id": "acme", "name": "Acme"})
    async with (
        open_worker_lease(registry_pool, "shared", [], 30),
        open_worker_lease(registry_pool, "w", ["a"], 30, tenant_id="acme"),
        open_worker_lease(registry_pool, "w", ["d"], 30, tenant_id="default"),
    ):
        for tenant_id, queue in (("acme", "a"), ("default", "d")):
            seen = [(worker["worker_id"], worker["queue_types"]) for worker in await workers(registry, tenant_id)]
            assert seen == [("shared", []), ("w", [queue])]


async def test_the_lease_is_kept_when_connections_are_lost(registry, registry_pool):
    async with open_worker_lease(registry_pool, "w1", [], 1):
        async with registry_pool.connection() as conn:
            await conn.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        await asyncio.sleep(1.5)
        assert len(await workers(registry)) == 1


async def test_a_worker_that_cannot_say_goodbye_does_not_wait_for_long(registry_pool):
    started = time.monotonic()
    async with open_worker_lease(registry_pool, "w1", [], 0.3):
        await registry_pool.close()
    assert time.monotonic() - started < 5
