"""Heartbeats: who is alive, for how long, and who has to register again."""

import asyncio
from typing import Any

import pytest

from tests.registry.agents.agents import beat, get, is_alive, list_ids, register, run_agent, until

QUICK: dict[str, Any] = {"incarnation": "one", "heartbeat_seconds": 0.4}  # silence of a second is allowed


async def test_a_heartbeat_is_answered(registry):
    await run_agent(registry.http)
    answer = await registry.http.post("/agents/research-agent/heartbeat")
    assert (answer.status_code, answer.json()) == (
        200,
        {
            "agent_id": "research-agent",
            "ok": True,
            "status": "active",
            "component_generation": 0,
            "erasures": False,
        },
    )
    assert (await get(registry.http))["last_heartbeat"] is not None


async def test_an_agent_is_alive_from_its_registration_and_activation_on(registry):
    await register(registry.http, **QUICK)
    assert not await is_alive(registry.http)
    await registry.http.post("/agents/research-agent/activate")
    assert await is_alive(registry.http)


async def test_an_agent_that_falls_silent_is_not_alive_within_three_intervals(registry):
    await run_agent(registry.http, **QUICK)
    await asyncio.sleep(3 * 0.4)
    agent = await get(registry.http)
    assert (agent["status"], agent["alive"], agent["health"]) == ("active", False, None)
    assert await list_ids(registry.http, status="active", alive="true") == []


async def test_heartbeats_keep_an_agent_alive(registry):
    await run_agent(registry.http, **QUICK)
    for _ in range(4):
        await asyncio.sleep(0.4)
        assert (await beat(registry.http, **QUICK)).status_code == 200
    assert await is_alive(registry.http)


async def test_a_heartbeat_may_say_that_the_next_one_takes_longer(registry):
    await run_agent(registry.http, **QUICK)
    await beat(registry.http, incarnation="one", heartbeat_seconds=5)
    await asyncio.sleep(1.2)
    assert await is_alive(registry.http)


async def test_a_process_whose_time_has_run_out_registers_again(registry):
    await run_agent(registry.http, **QUICK)
    await asyncio.sleep(1.1)
    answer = await beat(registry.http, **QUICK)
    assert answer.status_code == 410
    assert "register it again with POST /agents" in answer.json()["error"]
    assert not await is_alive(registry.http)
    assert (await register(registry.http, **QUICK))["status"] == "active"
    assert (await beat(registry.http, **QUICK)).status_code == 200
    assert await is_alive(registry.http)


async def test_a_process_that_has_not_registered_changes_nothing(registry):
    await register(registry.http, incarnation="new")
    assert (await beat(registry.http, incarnation="old")).status_code == 410
    assert [each["incarnation"] for each in (await get(registry.http))["instances"]] == ["new"]


async def test_an_unknown_agent_is_told_to_register(registry):
    for body in ({}, {"incarnation": "one"}):
        answer = await beat(registry.http, **body)
        assert answer.status_code == 404
        assert "POST /agents" in answer.json()["error"]


async def test_without_an_incarnation_any_heartbeat_of_a_known_agent_is_taken(registry):
    await run_agent(registry.http, heartbeat_seconds=0.2)
    await asyncio.sleep(0.6)
    assert not await is_alive(registry.http)
    assert (await beat(registry.http)).status_code == 200
    assert await is_alive(registry.http)


async def test_a_heartbeat_does_not_activate(registry):
    await run_agent(registry.http, **QUICK)
    await registry.http.post("/agents/research-agent/pause")
    assert (await beat(registry.http, **QUICK)).json()["status"] == "paused"
    assert not await is_alive(registry.http)


async def test_to_activate_an_agent_is_no_sign_of_its_processes(registry):
    await run_agent(registry.http, **QUICK)
    await asyncio.sleep(1.1)
    await registry.http.post("/agents/research-agent/activate")
    assert not await is_alive(registry.http)


async def test_a_process_that_fails_is_not_alive_until_it_works_again(registry):
    await run_agent(registry.http, **QUICK)
    await beat(registry.http, **QUICK, health="failing", reason="no database")
    agent = await get(registry.http)
    assert (agent["alive"], agent["health"]) == (False, "failing")
    assert agent["instances"][0]["health_reason"] == "no database"
    await beat(registry.http, **QUICK, health="ok")
    assert await is_alive(registry.http)
    assert (await get(registry.http))["instances"][0]["health_reason"] is None


async def test_an_agent_lives_as_long_as_one_of_its_processes(registry):
    await run_agent(registry.http, **QUICK)
    await register(registry.http, incarnation="two", heartbeat_seconds=30)
    await beat(registry.http, incarnation="two", health="failing")
    assert await is_alive(registry.http)
    await asyncio.sleep(1.1)
    agent = await get(registry.http)
    assert (agent["alive"], agent["health"]) == (False, "failing")
    assert [(each["incarnation"], each["alive"]) for each in agent["instances"]] == [
        ("two", False),
        ("one", False),
    ]


async def test_a_heartbeat_that_makes_no_sense_is_refused(registry):
    await run_agent(registry.http)
    garbage = [
        b"[]",
        b"{",
        b'"ok"',
        b"7",
        b'{"health": "fine"}',
        b'{"incarnation": 5}',
        b'{"heartbeat_seconds": -1}',
    ]
    for body in [*garbage, b'{"reason": ["x"]}', b"\xff", b'{"incarnation": "\\u0000"}']:
        answer = await registry.http.post("/agents/research-agent/heartbeat", content=body)
        assert answer.status_code == 400, body


async def test_a_long_reason_is_cut_and_not_refused(registry):
    await run_agent(registry.http)
    assert (await beat(registry.http, health="failing", reason="x" * 5000)).status_code == 200
    assert len((await get(registry.http))["instances"][0]["health_reason"]) == 1000


async def test_many_heartbeats_of_one_process_at_once_are_all_taken(registry):
    process: dict[str, Any] = {"incarnation": "one", "heartbeat_seconds": 10}
    await run_agent(registry.http, **process)
    answers = await asyncio.gather(*(beat(registry.http, **process) for _ in range(30)))
    assert {answer.status_code for answer in answers} == {200}


async def test_a_deleted_agent_comes_back_only_by_registering(registry):
    await run_agent(registry.http, **QUICK)
    await registry.http.delete("/agents/research-agent")
    assert (await beat(registry.http, **QUICK)).status_code == 404
    assert await list_ids(registry.http) == []
    assert (await register(registry.http, **QUICK))["status"] == "registered"


async def test_heartbeats_write_no_index_entries(registry, registry_pool):
    await run_agent(registry.http, **QUICK)
    for _ in range(20):
        await beat(registry.http, **QUICK)

    async def all_hot() -> bool:
        async with registry_pool.connection() as conn:
            row = await (
                await conn.execute(
                    "SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = 'agent_instances'"
                )
            ).fetchone()
        assert row is not None
        updated: int = row["n_tup_upd"]
        return updated >= 20 and updated == row["n_tup_hot_upd"]

    await until(all_hot, seconds=10)


@pytest.mark.parametrize("outcome", ["ok", "unknown", "gone"])
async def test_heartbeats_are_counted_by_outcome(registry, outcome):
    await run_agent(registry.http)
    await beat(registry.http)
    await beat(registry.http, "nobody")
    await beat(registry.http, incarnation="unknown")
    text = (await registry.http.get("/metrics")).text
    assert f'registry_heartbeats_total{{outcome="{outcome}"}} 1.0' in text
