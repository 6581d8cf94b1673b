"""An agent that is paused or drained in its registry takes no new messages, says so, and goes on once resumed."""

import asyncio
from pathlib import Path
from typing import Any

from tests.agents import SCRIPTED, Agent, running_agent, text_message, write_project
from tests.processes import free_port
from tests.registry.registries import Served


def registered_at(registry: Served) -> dict[str, Any]:
    return {
        "registry_url": registry.url,
        "registry_token": registry.token,
        "registry_heartbeat_seconds": 0.1,
    }


async def test_a_pause_reaches_the_agent_and_holds_over_its_restart(
    tmp_path: Path, database_url: str, registry: Served
) -> None:
    project = write_project(tmp_path / "project", SCRIPTED)
    async with running_agent(project, database_url, "my-agent", **registered_at(registry)) as agent:
        await shows(agent, None)
        running = asyncio.create_task(agent.send("hold a", contextId="c1"))
        while "begin hold a" not in agent.journal():
            await asyncio.sleep(0.02)
        assert (await registry.http.post("/agents/my-agent/pause")).status_code == 200
        await shows(agent, "paused")
        refused = await agent.http.post("/a2a/message:send", json=message(), headers={"A2A-Version": "1.0"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "the agent is paused" in refused.json()["error"]["message"]
        agent.release("a")
        assert (await running)["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
    away = {**registered_at(registry), "registry_url": f"http://127.0.0.1:{free_port()}"}
    async with running_agent(project, database_url, "my-agent", **away) as agent:
        refused = await agent.http.post("/a2a/message:send", json=message(), headers={"A2A-Version": "1.0"})
        assert (refused.status_code, "paused" in refused.text) == (503, True)
    async with running_agent(project, database_url, "my-agent", **registered_at(registry)) as agent:
        await shows(agent, "paused")
        assert (await registry.http.post("/agents/my-agent/resume")).status_code == 200
        await shows(agent, None)
        assert await agent.ask("hello there")
    async with running_agent(project, database_url, "my-agent", **away) as agent:
        assert await agent.ask("hello again")


async def test_a_drained_agent_ends_what_runs_keeps_what_waits_and_says_when_it_is_done(
    tmp_path: Path, database_url: str, registry: Served
) -> None:
    project = write_project(tmp_path / "project", SCRIPTED)
    async with running_agent(project, database_url, "my-agent", **registered_at(registry)) as agent:
        await shows(agent, None)
        running = asyncio.create_task(agent.send("hold a", contextId="c1"))
        while "begin hold a" not in agent.journal():
            await asyncio.sleep(0.02)
        waiting = asyncio.create_task(agent.send("and then", contextId="c1"))
        while agent.runtime.turns.waiting < 1:
            await asyncio.sleep(0.02)
        drained = await registry.http.post("/agents/my-agent/drain")
        assert drained.json() == {"agent_id": "my-agent", "status": "draining"}
        await shows(agent, "draining")
        assert await is_drained(registry) is False
        agent.release("a")
        assert (await running)["task"]["status"]["state"] == "TASK_STATE_COMPLETED"
        async with asyncio.timeout(30):
            while not await is_drained(registry):
                await asyncio.sleep(0.05)
        assert (await turns_of(agent), waiting.done()) == ({"running": 0, "waiting": 1}, False)
        run = await agent.http.post("/runs/wait", json={"assistant_id": "agent", "input": {"messages": []}})
        assert (run.status_code, "draining" in run.text) == (503, True)
        assert (await registry.http.post("/agents/my-agent/resume")).json()["status"] == "active"
        assert (await waiting)["task"]["status"]["state"] == "TASK_STATE_COMPLETED"


async def shows(agent: Agent, status: str | None) -> None:
    """Return as soon as the agent's status names this."""
    async with asyncio.timeout(30):
        while True:
            states = (await agent.http.get("/status")).json()["data"]["a2a"]
            if states["registry"]["connected"] and states["registry"].get("agent_status") == status:
                return
            await asyncio.sleep(0.02)


async def turns_of(agent: Agent) -> dict[str, int]:
    """How many turns the process that is held has in hand, as it says itself."""
    turns: dict[str, int] = (await agent.http.get("/status")).json()["data"]["a2a"]["registry"]["turns"]
    return turns


async def is_drained(registry: Served) -> bool:
    (process,) = (await registry.http.get("/agents/my-agent")).json()["instances"]
    drained: bool = process["drained"]
    return drained


def message() -> dict[str, Any]:
    return {"message": text_message("one more")}
