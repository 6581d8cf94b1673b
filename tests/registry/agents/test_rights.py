"""Whose agents are whose, who may change them, how many there may be, and what is recorded."""

import asyncio

import pytest

from tests.registry.agents.agents import beat, list_ids, make_card, register


async def test_tenants_do_not_see_each_others_agents(registry):
    other = await registry.client_of("developer", "acme")
    await register(registry.http)
    assert await list_ids(other) == []
    assert (await other.get("/agents/research-agent")).status_code == 404
    assert (await other.get("/agents/search?skills=research")).json() == {"agents": []}


async def test_tenants_do_not_change_each_others_agents(registry):
    other = await registry.client_of("operator", "acme")
    await register(registry.http)
    for verb in ("activate", "pause", "deactivate", "heartbeat"):
        assert (await other.post(f"/agents/research-agent/{verb}")).status_code == 404
    assert (await other.delete("/agents/research-agent")).status_code == 404
    assert await list_ids(registry.http) == ["research-agent"]


async def test_two_tenants_may_use_the_same_id(registry):
    other = await registry.client_of("developer", "acme")
    await register(registry.http, version="1")
    assert (await register(other, version="2"))["created"]
    assert (await registry.http.get("/agents/research-agent")).json()["version"] == "1"


@pytest.mark.parametrize("role", ["reviewer", "viewer"])
async def test_who_may_only_read_changes_nothing(registry, role):
    reader = await registry.client_of(role)
    await register(registry.http)
    assert await list_ids(reader) == ["research-agent"]
    for path in ("/agents", "/agents/discover", "/agents/research-agent/heartbeat"):
        answer = await reader.post(path, json={})
        assert (answer.status_code, answer.json()["error"]) == (
            403,
            "insufficient role — developer or operator required",
        )


async def test_no_more_agents_than_the_tenant_may_have(registry):
    client = await limited(registry, max_agents=3)
    answers = await asyncio.gather(*(client.post("/agents", json=make_card(f"agent-{n}")) for n in range(20)))
    assert sorted(answer.status_code for answer in answers) == [201] * 3 + [429] * 17
    assert len(await list_ids(client)) == 3
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json()["error"] == "limit reached: tenant acme has 3 agents and may have 3"


async def test_an_agent_that_is_there_is_updated_at_the_limit(registry):
    client = await limited(registry, max_agents=1)
    answers = await asyncio.gather(*(client.post("/agents", json=make_card()) for _ in range(10)))
    assert [answer.status_code for answer in answers] == [201] * 10


async def test_every_accepted_write_is_recorded_once(registry, registry_pool):
    http = registry.http
    await register(http)
    await register(http)
    for verb in ("activate", "heartbeat", "pause", "deactivate", "deactivate"):
        await http.post(f"/agents/research-agent/{verb}")
    await http.delete("/agents/research-agent")
    assert await events(registry_pool) == [
        "agent_registered",
        "agent_updated",
        "agent_activated",
        "agent_paused",
        "agent_deactivated",
        "agent_deactivated",
        "agent_deleted",
    ]


async def test_a_refused_change_is_not_recorded(registry, registry_pool):
    await register(registry.http)
    assert (await registry.http.post("/agents/research-agent/pause")).status_code == 409
    assert (await beat(registry.http, incarnation="unknown")).status_code == 410
    assert await events(registry_pool) == ["agent_registered"]


async def test_only_a_heartbeat_that_changes_health_is_recorded(registry, registry_pool):
    await register(registry.http, incarnation="one")
    for health in ("ok", "failing", "failing", "ok", "ok"):
        assert (await beat(registry.http, incarnation="one", health=health, reason="disk")).status_code == 200
    assert (await events(registry_pool))[1:] == ["agent_health_changed"] * 2


async def limited(registry, **limits):
    client = await registry.client_of("developer", "acme")
    async with registry.registry.pool.connection() as conn:
        await conn.execute(
            "UPDATE tenants SET limits = jsonb_build_object('max_agents', %s::int) WHERE tenant_id = 'acme'",
            [limits["max_agents"]],
        )
    return client


async def events(pool):
    async with pool.connection() as conn:
        rows = await conn.execute(
            "SELECT event_type FROM audit_entries WHERE subject = 'agent:research-agent' ORDER BY sequence"
        )
        return [row["event_type"] for row in await rows.fetchall()]
