"""Registration as the users of a whole agent see it."""

import asyncio
import re
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.errors import BadProject
from agent_runtime.project.file import load_project
from tests.agent_runtime.tools.connecting import eventually
from tests.agents import SCRIPTED, Agent, running_agent, write_project
from tests.jamjet_runtime import JamjetRuntime
from tests.processes import agent_process, free_port


async def status_of(agent: Agent) -> dict[str, Any]:
    data: dict[str, Any] = (await agent.http.get("/api/v1/status")).json()["data"]
    assert set(data) == {"agent_id", "mcp", "a2a"}
    return data


async def test_the_status_shows_the_registry_among_the_peers(tmp_path: Path, database_url: str) -> None:
    directory, jamjet = write_project(tmp_path), JamjetRuntime()
    async with jamjet.served() as url, running_agent(directory, database_url, registry_url=url) as agent:
        await eventually(lambda: jamjet.statuses == {"active": 1})
        state = (await status_of(agent))["a2a"]["registry"]
        assert (state["connected"], state["status"], state["url"]) == (True, "connected", url)
    assert jamjet.statuses == {"deactivated": 1}


async def test_the_status_of_an_agent_without_a_registry_has_none(tmp_path: Path, database_url: str) -> None:
    async with running_agent(write_project(tmp_path), database_url) as agent:
        assert (await status_of(agent))["a2a"] == {}


async def test_turns_are_served_while_the_registry_is_away(tmp_path: Path, database_url: str) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    async with running_agent(write_project(tmp_path), database_url, registry_url=url) as agent:
        assert await agent.ask("hello")
        state = (await status_of(agent))["a2a"]["registry"]
        assert (state["connected"], state["last_error"]) == (
            False,
            "cannot connect: All connection attempts failed",
        )


async def test_a_changed_card_url_is_answered_without_the_registry_and_told_to_it_at_once(
    tmp_path: Path, database_url: str
) -> None:
    directory, jamjet = write_project(tmp_path), JamjetRuntime()
    async with jamjet.served() as url, running_agent(directory, database_url, registry_url=url) as agent:
        await eventually(lambda: jamjet.statuses == {"active": 1})
        jamjet.silent = True
        async with asyncio.timeout(1):
            changed = await agent.http.patch("/api/v1/card/url", json={"url": "http://new.test"})
        assert changed.status_code == 200
        await eventually(lambda: jamjet.told("register")[-1].body["uri"] == "http://new.test", 1)
        jamjet.silent = False


async def test_an_agent_leaves_its_registry_before_its_last_turn_has_ended(
    tmp_path: Path, database_url: str
) -> None:
    directory, jamjet = write_project(tmp_path, SCRIPTED), JamjetRuntime()
    async with jamjet.served() as url, running_agent(directory, database_url, registry_url=url) as agent:
        await eventually(lambda: jamjet.statuses == {"active": 1})
        turn = asyncio.create_task(agent.ask("hold it"))
        await eventually(agent.journal)
        agent.runtime.begin_stop()
        await eventually(lambda: jamjet.statuses == {"deactivated": 1}, 1)
        assert not turn.done()
        agent.release("it")
        assert await turn == "it"


async def test_a_process_says_whether_it_has_reached_its_registry(tmp_path: Path, database_url: str) -> None:
    directory, jamjet = write_project(tmp_path), JamjetRuntime()
    async with (
        jamjet.served() as url,
        agent_process(directory, postgres_dsn=database_url, registry_url=url) as agent,
    ):
        await eventually(lambda: f"registry   {url} (registered as " in agent.log.read_text())
        await eventually(lambda: jamjet.statuses == {"active": 1})
        assert await asyncio.to_thread(agent.terminate) == 0
        assert jamjet.statuses == {"deactivated": 1}


async def test_a_process_starts_and_stops_in_time_when_its_registry_does_not_answer(
    tmp_path: Path, database_url: str
) -> None:
    directory, jamjet = write_project(tmp_path), JamjetRuntime()
    jamjet.silent = True
    async with (
        jamjet.served() as url,
        agent_process(directory, postgres_dsn=database_url, registry_url=url) as agent,
    ):
        told = re.compile(rf"registry   {url} \(not reached yet: .*; the agent serves meanwhile and tries again\)")
        await eventually(lambda: told.search(agent.log.read_text()))
        began = time.monotonic()
        assert await asyncio.to_thread(agent.terminate) == 0
        assert time.monotonic() - began < 5
        jamjet.silent = False


async def test_a_killed_process_says_nothing(tmp_path: Path, database_url: str) -> None:
    directory, jamjet = write_project(tmp_path), JamjetRuntime()
    async with (
        jamjet.served() as url,
        agent_process(directory, postgres_dsn=database_url, registry_url=url) as agent,
    ):
        await eventually(lambda: jamjet.statuses == {"active": 1})
        agent.kill()
        assert agent.process.returncode == -signal.SIGKILL
    assert jamjet.statuses == {"active": 1}


def test_no_peer_can_be_called_registry(tmp_path: Path) -> None:
    write_project(tmp_path, extra='\n[a2a.registry]\nurl = "http://peer.test"\n')
    with pytest.raises(BadProject, match=r"^agent\.toml: a2a\.registry: the name is taken"):
        load_project(tmp_path)
