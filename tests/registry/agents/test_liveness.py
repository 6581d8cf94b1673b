"""What registries do about time: a restart costs nobody their life, and the dead do not pile up."""

import asyncio
import logging
from typing import Any

import pytest

from registry.agents.liveness import Liveness
from registry.metrics import RegistryMetrics
from registry.settings import RegistrySettings
from tests.registry.agents.agents import beat, get, is_alive, list_ids, register, run_agent, until
from tests.registry.registries import running_registry

QUICK: dict[str, Any] = {"incarnation": "one", "heartbeat_seconds": 0.4}  # silence of a second is allowed


async def test_whoever_was_alive_when_the_registry_stopped_gets_a_whole_period(registry_dsn, registry_pool):
    async with running_registry(registry_dsn) as first:
        await run_agent(first.http, incarnation="one", heartbeat_seconds=60)
    await at(
        registry_pool, "research-agent", "now() - interval '59 seconds'", stopped="now() - interval '1 minute'"
    )
    async with running_registry(registry_dsn) as second:
        assert await is_alive(second.http)
        assert 140 < await seconds_left(registry_pool) <= 150


async def test_silence_during_a_short_restart_does_not_count(registry_dsn, registry_pool):
    async with running_registry(registry_dsn) as first:
        await run_agent(first.http, **QUICK)
    await at(
        registry_pool, "research-agent", "now() - interval '1 second'", stopped="now() - interval '2 seconds'"
    )
    async with running_registry(registry_dsn) as second:
        assert await is_alive(second.http)


async def test_whoever_does_not_beat_after_a_restart_is_dead_a_period_later(registry_dsn, registry_pool):
    async with running_registry(registry_dsn) as first:
        await run_agent(first.http, **QUICK)
    await at(
        registry_pool, "research-agent", "now() - interval '59 seconds'", stopped="now() - interval '1 minute'"
    )
    async with running_registry(registry_dsn) as second:
        await asyncio.sleep(1.2)
        assert not await is_alive(second.http)
        assert (await beat(second.http, **QUICK)).status_code == 410


async def test_a_restart_revives_nobody_who_was_dead(registry_dsn):
    async with running_registry(registry_dsn) as first:
        await run_agent(first.http, incarnation="one", heartbeat_seconds=0.1)
        await asyncio.sleep(1.5)  # dead when the pulse last beat
        assert not await is_alive(first.http)
    async with running_registry(registry_dsn) as second:
        assert not await is_alive(second.http)


async def test_a_registry_that_joins_another_revives_nobody(registry_dsn):
    async with running_registry(registry_dsn) as first:
        await run_agent(first.http, incarnation="one", heartbeat_seconds=0.1)
        await asyncio.sleep(1.5)
        async with running_registry(registry_dsn) as second:
            assert not await is_alive(second.http)
            assert not await is_alive(first.http)


async def test_a_registry_that_joins_another_makes_nobodys_time_longer_than_the_pause_between_two_beats(
    registry, registry_pool
):
    await run_agent(registry.http, incarnation="one", heartbeat_seconds=10)
    await at(registry_pool, "research-agent", "now() + interval '1 minute'", stopped="now()")
    await Liveness(registry_pool, RegistrySettings(_env_file=None), RegistryMetrics()).begin()
    assert 50 < await seconds_left(registry_pool) < 62


async def test_a_registry_that_was_held_up_spares_whoever_was_alive_then(registry, registry_pool):
    await run_agent(registry.http, "living", incarnation="one", heartbeat_seconds=1)
    await run_agent(registry.http, "dead", incarnation="one", heartbeat_seconds=1)
    await at(registry_pool, "living", "now() - interval '1 second'", stopped="now() - interval '1 minute'")
    await at(registry_pool, "dead", "now() - interval '2 minutes'", stopped="now() - interval '1 minute'")
    assert await is_alive(registry.http, "living")
    assert not await is_alive(registry.http, "dead")


async def test_a_heartbeat_that_comes_before_a_registry_has_noticed_that_it_was_held_up_is_accepted(
    registry, registry_pool
):
    await run_agent(registry.http, **QUICK)
    await at(registry_pool, "research-agent", "now() - interval '1 second'", stopped="now() - interval '1 minute'")
    assert (await beat(registry.http, **QUICK)).status_code == 200


async def test_two_registries_see_the_same(registry_dsn):
    async with running_registry(registry_dsn) as first, running_registry(registry_dsn) as second:
        await run_agent(first.http, **QUICK)
        assert await is_alive(second.http)
        for served in (second, first, second):
            await asyncio.sleep(0.4)
            assert (await beat(served.http, **QUICK)).status_code == 200
        assert await is_alive(first.http)
        await asyncio.sleep(1.1)
        assert not await is_alive(first.http)
        assert not await is_alive(second.http)


async def test_the_log_tells_once_who_is_overdue_and_once_who_is_back(registry_dsn, caplog):
    caplog.set_level(logging.INFO, "registry.agents.liveness")

    def told(text: str) -> int:
        return sum(f"agent {text} agent_id=research-agent tenant_id=default" in line for line in caplog.messages)

    async def is_told(text: str) -> bool:
        return told(text) > 0

    async with running_registry(registry_dsn) as first, running_registry(registry_dsn):
        await run_agent(first.http, heartbeat_seconds=0.1)
        await until(lambda: is_told("lost"))
        await asyncio.sleep(1.1)
        await beat(first.http, heartbeat_seconds=10)
        await until(lambda: is_told("recovered"))
    assert (told("lost"), told("recovered")) == (1, 1)


async def test_silent_processes_disappear_and_agents_that_had_some(registry_dsn):
    async with running_registry(registry_dsn, jamjet_purge_seconds=1) as served:
        await run_agent(served.http, "gone", incarnation="one", heartbeat_seconds=0.1)
        await run_agent(served.http, "half", incarnation="one", heartbeat_seconds=0.1)
        await register(served.http, "half", incarnation="two", heartbeat_seconds=60)
        await register(served.http, "by-hand", heartbeat_seconds=0.1)

        async def is_tidy() -> bool:
            names = [each["incarnation"] for each in (await get(served.http, "half"))["instances"]]
            return names == ["two"] and await list_ids(served.http) == ["by-hand", "half"]

        await until(is_tidy)


async def test_an_agent_that_left_in_order_stays_for_the_purge_time(registry_dsn):
    async with running_registry(registry_dsn, jamjet_purge_seconds=1.5) as served:
        await run_agent(served.http, incarnation="one")
        await served.http.post("/agents/research-agent/deactivate", json={"incarnation": "one"})
        await asyncio.sleep(0.5)
        assert await list_ids(served.http) == ["research-agent"]

        async def is_gone() -> bool:
            return await list_ids(served.http) == []

        await until(is_gone)


async def test_two_registries_purge_each_agent_once(registry_dsn, registry_pool):
    async with running_registry(registry_dsn) as served:
        for n in range(10):
            await run_agent(served.http, f"agent-{n}", incarnation="one")
    async with registry_pool.connection() as conn:
        await conn.execute("UPDATE agent_instances SET alive_until = now() - interval '8 days'")
        await conn.execute("UPDATE agents SET updated_at = now() - interval '8 days'")
    settings = RegistrySettings(_env_file=None)
    await asyncio.gather(*(Liveness(registry_pool, settings, RegistryMetrics()).purge() for _ in range(4)))
    async with registry_pool.connection() as conn:
        entries = await conn.execute(
            "SELECT subject, actor_type FROM audit_entries WHERE event_type = 'agent_purged'"
        )
        purged = sorted((row["subject"], row["actor_type"]) for row in await entries.fetchall())
    assert purged == [(f"agent:agent-{n}", "system") for n in range(10)]


async def test_agents_are_counted(registry):
    await run_agent(registry.http, "a")
    await register(registry.http, "b")
    served = registry.registry
    await Liveness(served.pool, served.settings, served.metrics).count()
    text = (await registry.http.get("/metrics")).text
    assert 'registry_agents{alive="true",status="active"} 1.0' in text
    assert 'registry_agents{alive="false",status="registered"} 1.0' in text


@pytest.mark.parametrize(
    "damage", ["DROP TABLE registry_pulse CASCADE", "ALTER TABLE agents DROP COLUMN is_overdue CASCADE"]
)
async def test_the_loops_survive_a_database_that_is_not_as_it_should_be(registry, registry_pool, caplog, damage):
    async with registry_pool.connection() as conn:
        await conn.execute(damage)

    async def is_told() -> bool:
        return any("watching agents crashed" in line for line in caplog.messages)

    await until(is_told)
    await asyncio.sleep(1.1)
    assert sum("watching agents crashed" in line for line in caplog.messages) == 1
    assert (await registry.http.get("/health")).status_code == 200


async def test_the_loops_survive_the_loss_of_their_connections(registry, registry_pool):
    await run_agent(registry.http, **QUICK)
    async with registry_pool.connection() as conn:
        await conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    before = await last_beat(registry_pool)

    async def beats_again() -> bool:
        return bool(await last_beat(registry_pool) > before)

    await until(beats_again)


async def last_beat(pool):
    async with pool.connection() as conn:
        return (await (await conn.execute("SELECT beat_at FROM registry_pulse")).fetchone())["beat_at"]


async def seconds_left(pool):
    """Until the only process of the only agent is no longer alive, unless it is heard of."""
    async with pool.connection() as conn:
        left = await conn.execute("SELECT extract(epoch FROM alive_until - now()) AS seconds FROM agent_instances")
        return (await left.fetchone())["seconds"]


async def at(pool, agent_id, alive_until, *, stopped):
    """As if no registry had worked since `stopped`."""
    async with pool.connection() as conn, conn.transaction():
        await conn.execute(f"UPDATE registry_pulse SET beat_at = {stopped}")
        await conn.execute(f"UPDATE agent_instances SET alive_until = {alive_until} WHERE agent_id = '{agent_id}'")
