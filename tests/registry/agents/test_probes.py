"""Discovered agents are alive as long as their cards are found."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tests.registry.agents.strangers import Strangers, running_strangers
from tests.registry.registries import Served, running_registry

SECONDS = 0.4


@pytest.fixture
async def strangers() -> AsyncIterator[Strangers]:
    async with running_strangers() as strangers:
        yield strangers


@pytest.fixture
async def registry(registry_dsn: str) -> AsyncIterator[Served]:
    async with running_registry(registry_dsn, jamjet_probe_seconds=SECONDS) as served:
        yield served


async def discover(registry: Served, url: str) -> str:
    """The id of the agent there, which is active from now on."""
    discovered = await registry.http.post("/agents/discover", json={"url": url})
    assert discovered.status_code == 201, discovered.text
    agent_id: str = discovered.json()["id"]
    assert (await registry.http.post(f"/agents/{agent_id}/activate")).status_code == 200
    return agent_id


async def show(registry: Served, agent_id: str) -> dict[str, Any]:
    agent: dict[str, Any] = (await registry.http.get(f"/agents/{agent_id}")).json()
    return agent


async def eventually(registry: Served, agent_id: str, holds: Callable[[dict[str, Any]], bool]) -> float:
    """Waits until it holds of the agent, and returns how many seconds that took."""
    started = time.monotonic()
    while not holds(await show(registry, agent_id)):
        assert time.monotonic() - started < 60, await show(registry, agent_id)
        await asyncio.sleep(0.02)
    return time.monotonic() - started


def is_alive(agent: dict[str, Any]) -> bool:
    return bool(agent["alive"])


def is_silent(agent: dict[str, Any]) -> bool:
    return not agent["alive"]


async def test_an_agent_lives_as_long_as_its_card_is_found(registry, strangers):
    agent_id = await discover(registry, strangers.put("one"))
    assert await eventually(registry, agent_id, is_alive) < SECONDS + 0.3
    await asyncio.sleep(4 * SECONDS)
    assert is_alive(await show(registry, agent_id))

    card = strangers.cards.pop("one")
    assert await eventually(registry, agent_id, is_silent) < 2.5 * SECONDS + 0.3

    strangers.cards["one"] = card
    await eventually(registry, agent_id, is_alive)


async def test_only_active_agents_are_looked_for(registry, strangers):
    agent_id = await discover(registry, strangers.put("one"))
    await eventually(registry, agent_id, is_alive)
    await registry.http.post(f"/agents/{agent_id}/pause")
    await asyncio.sleep(0.1)  # one that had begun
    strangers.asked.clear()
    await asyncio.sleep(2 * SECONDS)
    assert strangers.asked == []


async def test_agents_of_a_suspended_tenant_are_not_looked_for(registry, strangers):
    developer = await registry.client_of("developer", "acme")
    await developer.post("/agents/discover", json={"url": strangers.put("one")})
    await developer.post("/agents/one/activate")
    await asyncio.sleep(2 * SECONDS)
    assert len(strangers.asked) > 1
    await registry.http.put("/tenants/acme", json={"status": "suspended"})
    await asyncio.sleep(0.2)  # one that had begun
    strangers.asked.clear()
    await asyncio.sleep(2 * SECONDS)
    assert strangers.asked == []


async def test_each_agent_is_looked_for_once_an_interval_however_many_registries_there_are(
    registry, registry_dsn, strangers
):
    async with running_registry(registry_dsn, jamjet_probe_seconds=SECONDS):
        agent_id = await discover(registry, strangers.put("one"))
        await eventually(registry, agent_id, is_alive)
        strangers.asked.clear()
        await asyncio.sleep(5 * SECONDS)
    assert 3 <= len(strangers.asked) <= 6


async def test_an_agent_that_is_paused_while_it_is_looked_for_stays_as_it_is(registry, strangers):
    agent_id = await discover(registry, strangers.put("one"))
    await eventually(registry, agent_id, is_alive)
    strangers.hanging.add("one")
    strangers.asked.clear()
    while not strangers.asked:
        await asyncio.sleep(0.01)
    await registry.http.post(f"/agents/{agent_id}/pause")
    strangers.put("one", description="new")
    strangers.hanging.clear()
    await asyncio.sleep(SECONDS)
    assert (await show(registry, agent_id))["description"] == ""


async def test_agents_that_hang_delay_no_others(registry_dsn, strangers):
    async with running_registry(registry_dsn, jamjet_probe_seconds=3) as registry:
        hanging = [await discover(registry, strangers.put(f"hanging-{number}")) for number in range(15)]
        lively = [await discover(registry, strangers.put(f"lively-{number}")) for number in range(4)]
        for agent_id in hanging + lively:
            await eventually(registry, agent_id, is_alive)
        strangers.hanging.update(hanging)
        for agent_id in hanging:
            await eventually(registry, agent_id, is_silent)
            assert all([is_alive(await show(registry, one)) for one in lively])


async def test_an_agent_that_takes_its_time_lives(registry_dsn, strangers):
    async with running_registry(registry_dsn, jamjet_probe_seconds=1) as registry:
        agent_id = await discover(registry, strangers.put("slow"))
        strangers.delay = 0.5
        await eventually(registry, agent_id, is_alive)
        for _ in range(20):
            await asyncio.sleep(0.2)
            assert is_alive(await show(registry, agent_id))


async def test_no_connection_is_held_while_an_agent_is_looked_for(registry_dsn, strangers):
    async with running_registry(registry_dsn, jamjet_probe_seconds=12, postgres_pool_size=2) as registry:
        urls = [strangers.put(f"hanging-{number}") for number in range(6)]
        agents = [await discover(registry, url) for url in urls]
        for agent_id in agents:
            await eventually(registry, agent_id, is_alive)
        strangers.hanging.update(agents)
        strangers.asked.clear()
        while len(strangers.asked) < 5:
            await asyncio.sleep(0.05)
        assert (await asyncio.wait_for(registry.http.get("/agents"), 4)).status_code == 200


async def test_a_changed_card_is_taken_over_and_recorded(registry, strangers):
    agent_id = await discover(registry, strangers.put("one"))
    await eventually(registry, agent_id, is_alive)
    strangers.put("one", description="new", uri=f"{strangers.url}/elsewhere")
    await eventually(registry, agent_id, lambda agent: agent["description"] == "new")
    await asyncio.sleep(2 * SECONDS)
    audit = (await registry.http.get("/audit", params={"event_type": "agent_updated"})).json()
    assert [(entry["actor_id"], entry["actor_type"]) for entry in audit["items"]] == [("registry", "system")]
    assert (await show(registry, agent_id))["uri"] == f"{strangers.url}/elsewhere"


@pytest.mark.parametrize("changed", [{"id": "two"}, {"uri": "http://elsewhere.test/"}, {"id": None}])
async def test_a_card_of_another_agent_is_no_sign_of_life(registry, strangers, changed):
    agent_id = await discover(registry, strangers.put("one"))
    await eventually(registry, agent_id, is_alive)
    before = (await show(registry, agent_id))["card"]
    strangers.put("one", **changed)
    await eventually(registry, agent_id, is_silent)
    assert (await show(registry, agent_id))["card"] == before


async def test_an_agent_that_announces_itself_is_looked_for_no_more(registry, strangers):
    agent_id = await discover(registry, strangers.put("one"))
    await eventually(registry, agent_id, is_alive)
    await registry.http.post(
        "/agents", json=strangers.cards["one"] | {"incarnation": "a", "heartbeat_seconds": 60}
    )
    await asyncio.sleep(0.1)
    strangers.asked.clear()
    await asyncio.sleep(2 * SECONDS)
    assert strangers.asked == []


async def test_a_database_that_was_away_does_not_end_the_search(registry, registry_pool, strangers):
    agent_id = await discover(registry, strangers.put("one"))
    await eventually(registry, agent_id, is_alive)
    async with registry_pool.connection() as conn:
        await conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    strangers.put("one", description="new")
    await eventually(registry, agent_id, lambda agent: agent.get("description") == "new")
