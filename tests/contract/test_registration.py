"""Agents and a real registry: what one side sends and the other one makes of it."""

import asyncio
from pathlib import Path
from typing import Any

import psycopg

from agent_runtime.live_settings.card_url import CardUrl
from groundwork.postgres.pool import DatabaseUnavailable
from tests.agent_runtime.registry_link.linking import HOME, linked
from tests.agents import running_agent, text_message, write_project
from tests.processes import free_port
from tests.registry.registries import Served, running_registry

QUICK = 0.2
V1 = {"A2A-Version": "1.0"}


async def listed(registry: Served, agent_id: str = "my-agent") -> dict[str, Any]:
    """The agent as the registry shows it; empty when there is none."""
    response = await registry.http.get(f"/agents/{agent_id}")
    agent: dict[str, Any] = response.json() if response.status_code == 200 else {}
    return agent


async def shows(registry: Served, seconds: float = 10, **expected: Any) -> None:
    """Returns as soon as the registry shows the agent with these values. Raises `TimeoutError`."""
    async with asyncio.timeout(seconds):
        while {name: (await listed(registry)).get(name) for name in expected} != expected:
            await asyncio.sleep(0.02)


async def test_an_agent_is_registered_and_alive_while_it_runs_and_deactivated_afterwards(
    tmp_path: Path, database_url: str, registry: Served
) -> None:
    given: dict[str, Any] = {"registry_url": registry.url, "registry_token": registry.token}
    async with running_agent(write_project(tmp_path), database_url, "my-agent", **given) as agent:
        await shows(registry, status="active", alive=True, uri="http://agent.test")
        state = (await agent.http.get("/status")).json()["data"]["a2a"]["registry"]
        assert (state["connected"], state["url"]) == (True, registry.url)
    assert (await listed(registry))["status"] == "deactivated"


async def test_a_changed_card_url_is_in_the_registry_at_once(registry: Served) -> None:
    card_url = CardUrl(HOME, None)
    async with linked(registry.url, card_url=card_url, heartbeat=3600, registry_token=registry.token) as link:
        await link.reached(5)
        await card_url.change("http://elsewhere.test")
        await shows(registry, 1, uri="http://elsewhere.test", status="active")


async def test_an_agent_that_started_before_its_registry_registers_when_it_comes(registry_dsn: str) -> None:
    async with running_registry(registry_dsn) as first:
        token = await first.make_token("developer")
    port = free_port()
    async with linked(f"http://127.0.0.1:{port}", heartbeat=QUICK, registry_token=token) as link:
        await link.reached(5)
        async with running_registry(registry_dsn, port=port) as registry:
            await shows(registry, 5, status="active", alive=True)


async def test_an_agent_that_was_deleted_registers_and_activates_itself_again(registry: Served) -> None:
    async with linked(registry.url, heartbeat=QUICK, registry_token=registry.token):
        await shows(registry, alive=True)
        assert (await registry.http.delete("/agents/my-agent")).status_code == 200
        await shows(registry, status="active", alive=True)


async def test_a_process_taken_for_dead_comes_back_and_the_agent_stays_paused(
    registry: Served, registry_dsn: str
) -> None:
    async with linked(registry.url, heartbeat=QUICK, registry_token=registry.token):
        await shows(registry, alive=True)
        assert (await registry.http.post("/agents/my-agent/pause")).status_code == 200
        with psycopg.connect(registry_dsn) as conn:
            conn.execute("DELETE FROM agent_instances")
        async with asyncio.timeout(10):
            while not (await listed(registry))["instances"]:
                await asyncio.sleep(0.02)
        assert (await listed(registry))["status"] == "paused"


async def test_the_agent_stays_active_until_its_last_replica_leaves(registry: Served) -> None:
    async with linked(registry.url, heartbeat=QUICK, registry_token=registry.token) as first:
        await first.reached(5)
        async with linked(registry.url, heartbeat=QUICK, registry_token=registry.token) as second:
            await second.reached(5)
            assert len((await listed(registry))["instances"]) == 2
        assert (await listed(registry))["status"] == "active"
    assert (await listed(registry))["status"] == "deactivated"


async def test_an_agent_that_cannot_use_its_database_is_not_alive(registry: Served) -> None:
    broken = True

    async def check() -> None:
        if broken:
            raise DatabaseUnavailable("the database cannot be used right now")

    async with linked(registry.url, heartbeat=QUICK, registry_token=registry.token, check_ready=check):
        await shows(registry, status="active", alive=False, health="failing")
        broken = False
        await shows(registry, status="active", alive=True, health="ok")


async def test_a_role_that_may_not_write_is_told_so_in_the_agents_status(registry: Served) -> None:
    token = await registry.make_token("viewer")
    async with linked(registry.url, registry_token=token) as link:
        said = await link.reached(5)
        assert "answered 403 Forbidden: insufficient role — developer or operator required" in said


async def test_the_registry_shows_what_all_processes_of_an_agent_have_used(
    tmp_path: Path, database_url: str, registry: Served
) -> None:
    given: dict[str, Any] = {
        "registry_url": registry.url,
        "registry_token": registry.token,
        "registry_heartbeat_seconds": QUICK,
    }
    directory = write_project(tmp_path)
    async with (
        running_agent(directory, database_url, "my-agent", **given) as one,
        running_agent(directory, database_url, "my-agent", **given) as other,
    ):
        for agent in (one, other, one):
            sent = {"message": text_message("hello")}
            (await agent.http.post("/a2a/message:send", json=sent, headers=V1)).raise_for_status()
        own = (await one.http.get("/api/v1/usage")).json()["data"]["total"]
        assert own["turns"] == 3
        await shows(registry, usage=own)
