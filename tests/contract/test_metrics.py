"""What an operator would ask for on a bad day is in the metrics."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.agents import SCRIPTED, running_agent, write_project
from tests.contract.components import SHOWING, TAKEN, put, reload
from tests.processes import free_port
from tests.registry.engine.workflows import STEP, document
from tests.registry.executions.runs import start
from tests.registry.registries import running_registry


async def metrics_of(http: httpx.AsyncClient) -> dict[str, float]:
    """By name and labels, as `name kind=mcp`."""
    text = (await http.get("/metrics")).text
    return {
        " ".join([sample.name, *(f"{name}={value}" for name, value in sample.labels.items())]): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


async def test_turns_that_wait_are_counted_and_so_is_their_wait(tmp_path: Path, database_url: str) -> None:
    async with running_agent(write_project(tmp_path, SCRIPTED), database_url) as agent:
        turns = [asyncio.create_task(agent.send("hold one", contextId="c"))]
        while not agent.journal():
            await asyncio.sleep(0.02)
        turns.append(asyncio.create_task(agent.send("echo two", contextId="c")))
        while (metrics := await metrics_of(agent.http))["agent_turns_longest_wait_seconds"] < 0.2:
            await asyncio.sleep(0.05)
        assert (metrics["agent_turns_in_flight"], metrics["agent_turns_queued"]) == (2, 1)
        agent.release("one")
        await asyncio.gather(*turns)
        metrics = await metrics_of(agent.http)
        assert metrics["agent_turns_longest_wait_seconds"] == 0
        assert metrics["agent_turn_wait_seconds_count"] == 2
        assert metrics["agent_turn_wait_seconds_sum"] > 0.2
        await agent.http.get("/api/v1/turns/none")
        await agent.http.get("/nowhere")
        metrics = await metrics_of(agent.http)
        counted = "agent_requests_total method=GET route"
        assert metrics[f"{counted}=/api/v1/turns/{{task_id}} status=404"] == 1
        assert metrics["agent_requests_total method=POST route=/ status=200"] == 2
        assert metrics[f"{counted}=(none) status=404"] == 1


async def test_connections_that_do_not_stand_are_seen(tmp_path: Path, database_url: str) -> None:
    away = f'[mcp.away]\nurl = "http://127.0.0.1:{free_port()}/mcp"\n'
    async with running_agent(write_project(tmp_path, SCRIPTED, extra=away), database_url) as agent:
        assert (await metrics_of(agent.http))["agent_connection_up kind=mcp name=away"] == 0


async def test_the_age_of_the_last_heartbeat_is_told(tmp_path: Path, database_url: str, registry_dsn: str) -> None:
    async with running_registry(registry_dsn) as served:
        registry: dict[str, Any] = {
            "registry_url": served.url,
            "registry_token": served.token,
            "registry_heartbeat_seconds": 0.2,
        }
        async with running_agent(write_project(tmp_path, SCRIPTED), database_url, **registry) as agent:
            while "agent_heartbeats_total outcome=ok" not in (metrics := await metrics_of(agent.http)):
                await asyncio.sleep(0.05)
            assert metrics["agent_heartbeat_age_seconds"] < 5


async def test_what_becomes_of_reloads_is_counted(tmp_path: Path, database_url: str, registry_dsn: str) -> None:
    async with running_registry(registry_dsn) as served:
        given: dict[str, Any] = {"registry_url": served.url, "registry_token": served.token}
        project = write_project(tmp_path, SHOWING, extra=TAKEN)
        given |= {"registry_auto_reload": False, "internal_runtime_control_enabled": True}
        async with running_agent(project, database_url, **given) as agent:
            await agent.runtime.components.reloads.settled()
            await put(served, "prompt", "system", template="new")
            generation = (await reload(agent))["generation"]
            metrics = await metrics_of(agent.http)
    assert metrics["agent_component_reloads_total outcome=changed"] >= 1
    assert (metrics["agent_component_generation"], metrics["agent_components_failed"]) == (generation, 0)


async def test_jobs_that_nobody_takes_are_counted_and_so_is_their_wait(registry_dsn: str) -> None:
    async with running_registry(registry_dsn) as served:
        await start(served.http, document({"a": STEP}, []))
    async with running_registry(registry_dsn) as served:
        while not (metrics := await metrics_of(served.http))["registry_jobs_waiting"]:
            await asyncio.sleep(0.05)
        assert metrics["registry_queue_jobs_waiting queue=executions general"] == 1
        assert metrics["registry_jobs_waiting"] == 1
        assert metrics["registry_jobs_longest_wait_seconds"] > 0
