"""One change for all agents with a label: each has a result of its own, whatever becomes of the others."""

from pathlib import Path
from typing import Any

from tests.agents import running_agent, write_project
from tests.registry.registries import Served


async def test_a_change_reaches_every_agent_of_the_label_and_says_what_became_of_each(
    tmp_path: Path, database_url: str, registry: Served
) -> None:
    project = write_project(tmp_path / "project")
    toml = project / "agent.toml"
    toml.write_text(f'{toml.read_text()}\n[labels]\nteam = "billing"\n')
    card = {"uri": "http://a.test", "labels": {"team": "billing"}, "admin_url": "http://127.0.0.1:1"}
    await registry.http.post("/agents", json={"id": "gone", **card})
    await registry.http.post("/agents", json={"id": "other", "uri": "http://b.test", "labels": {"team": "x"}})
    given: dict[str, Any] = {"registry_url": registry.url, "registry_token": registry.token}
    async with running_agent(project, database_url, "my-agent", **given) as agent:
        assert agent.runtime.registry is not None
        await agent.runtime.registry.reached(10)
        done = await registry.http.patch("/memory/config?label=team=billing", json={"window_size": 7})
        dead, alive = done.json()["results"]
        assert (done.status_code, done.json()["succeeded"], done.json()["failed"]) == (200, 1, 1)
        assert (dead["agent_id"], dead["status"], "connected" in dead["error"]) == ("gone", 503, True)
        assert (alive["agent_id"], alive["status"], alive["data"]["window_size"]) == ("my-agent", 200, 7)
        refused = await registry.http.patch("/memory/config?label=team=billing", json={"window_size": 0})
        assert [(one["status"], one["ok"]) for one in refused.json()["results"]] == [(503, False), (400, False)]
        page = (await registry.http.patch("/memory/config?label=team=billing&limit=1", json={})).json()
        assert (len(page["results"]), bool(page["next_cursor"])) == (1, True)
    for bad in ("/memory/config", "/memory/config?label=team"):
        assert (await registry.http.patch(bad, json={"window_size": 7})).status_code == 400
