"""An agent that is paused in its registry takes no new messages, says so, and goes on once it is activated."""

import asyncio
from pathlib import Path
from typing import Any

from tests.agents import SCRIPTED, Agent, running_agent, text_message, write_project
from tests.registry.registries import Served


async def test_a_pause_reaches_the_agent_and_holds_over_its_restart(
    tmp_path: Path, database_url: str, registry: Served
) -> None:
    project = write_project(tmp_path / "project", SCRIPTED)
    given: dict[str, Any] = {
        "registry_url": registry.url,
        "registry_token": registry.token,
        "registry_heartbeat_seconds": 0.1,
    }
    async with running_agent(project, database_url, "my-agent", **given) as agent:
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
    async with running_agent(project, database_url, "my-agent", **given) as agent:
        await shows(agent, "paused")
        assert (await registry.http.post("/agents/my-agent/activate")).status_code == 200
        await shows(agent, None)
        assert await agent.ask("hello there")


async def shows(agent: Agent, status: str | None) -> None:
    """Return as soon as the agent's status names this."""
    async with asyncio.timeout(30):
        while True:
            states = (await agent.http.get("/status")).json()["data"]["a2a"]
            if states["registry"]["connected"] and states["registry"].get("agent_status") == status:
                return
            await asyncio.sleep(0.02)


def message() -> dict[str, Any]:
    return {"message": text_message("one more")}
