"""What is changed on one process of an agent holds on all of them, and on those that start later."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from groundwork.postgres.pool import Pool
from tests.agent_runtime.tools.connecting import eventually
from tests.agents import Agent, running_agent, write_project

CONFIG, CARD = "/api/v1/memory/config", "/api/v1/card/url"


async def config_of(agent: Agent) -> dict[str, Any]:
    data: dict[str, Any] = (await agent.http.get(CONFIG)).json()["data"]
    return data


async def url_of(agent: Agent) -> str:
    return str((await agent.http.get(CARD)).json()["data"]["url"])


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_project(tmp_path)


async def test_a_change_of_the_memory_configuration_holds_on_every_replica_within_a_second(
    directory: Path, database_url: str
) -> None:
    async with running_agent(directory, database_url) as one, running_agent(directory, database_url) as other:
        changed = (await one.http.patch(CONFIG, json={"window_size": 7, "summarize": True})).json()["data"]
        await eventually(lambda: other.runtime.memory.current.window_size == 7, 1)
        assert await config_of(other) == changed == await config_of(one)


async def test_changes_on_two_replicas_at_once_end_up_the_same_on_both(directory: Path, database_url: str) -> None:
    async with running_agent(directory, database_url) as one, running_agent(directory, database_url) as other:
        sizes = range(1, 21)
        changes = [(one, other)[size % 2].http.patch(CONFIG, json={"window_size": size}) for size in sizes]
        await asyncio.gather(*changes)
        await other.http.patch(CONFIG, json={"summarize_threshold": 99})
        await eventually(lambda: one.runtime.memory.current == other.runtime.memory.current, 1)
        assert (await config_of(one))["summarize_threshold"] == 99


async def test_a_changed_card_url_stands_on_every_card_within_a_second(directory: Path, database_url: str) -> None:
    async with running_agent(directory, database_url) as one, running_agent(directory, database_url) as other:
        await one.http.patch(CARD, json={"url": "https://new.test"})
        await eventually(lambda: other.runtime.card_url.url == "https://new.test", 1)
        card = (await other.http.get("/.well-known/agent-card.json")).json()
        assert {face["url"].removesuffix("/a2a") for face in card["supportedInterfaces"]} == {"https://new.test"}


async def test_every_replica_writes_a_changed_card_url_into_its_own_env_file(
    tmp_path: Path, database_url: str
) -> None:
    directories = [write_project(tmp_path / name) for name in ("one", "other")]
    for directory in directories:
        (directory / ".env").write_text("PUBLIC_AGENT_URL=http://old.test\n")
    async with AsyncExitStack() as stack:
        agents = [
            await stack.enter_async_context(running_agent(directory, database_url)) for directory in directories
        ]
        answer = (await agents[0].http.patch(CARD, json={"url": "https://new.test"})).json()["data"]
        assert answer["persisted"] is True
        await eventually(lambda: all("https://new.test" in (one / ".env").read_text() for one in directories), 1)


async def test_a_replica_that_starts_later_takes_over_what_is_in_force(directory: Path, database_url: str) -> None:
    async with running_agent(directory, database_url) as one:
        await one.http.patch(CONFIG, json={"window_size": 7})
        await one.http.patch(CARD, json={"url": "https://new.test"})
        async with running_agent(directory, database_url, memory_window_size=30, memory_summarize=True) as later:
            config = await config_of(later)
            assert (config["window_size"], config["summarize"]) == (7, True)
            assert await url_of(later) == "https://new.test"


async def test_the_first_process_begins_with_its_environment(directory: Path, database_url: str) -> None:
    async with running_agent(directory, database_url) as agent:
        await agent.http.patch(CONFIG, json={"window_size": 7})
        await agent.http.patch(CARD, json={"url": "https://new.test"})
    async with running_agent(directory, database_url) as again:
        assert (await config_of(again))["window_size"] == 20
        assert await url_of(again) == "http://agent.test"


async def test_two_first_processes_that_begin_at_once_agree(directory: Path, database_url: str) -> None:
    async with running_agent(directory, database_url) as agent:
        await agent.http.patch(CONFIG, json={"window_size": 7})
    async with AsyncExitStack() as stack:
        agents = await asyncio.gather(
            *(stack.enter_async_context(running_agent(directory, database_url)) for _ in range(3))
        )
        assert [(await config_of(agent))["window_size"] for agent in agents] == [20, 20, 20]


async def test_another_agent_in_the_same_database_is_not_concerned(directory: Path, database_url: str) -> None:
    async with (
        running_agent(directory, database_url) as one,
        running_agent(directory, database_url, "other") as other,
    ):
        await one.http.patch(CONFIG, json={"window_size": 7})
        await asyncio.sleep(0.6)
        assert (await config_of(other))["window_size"] == 20


async def test_an_agent_without_an_id_changes_its_own_settings_alone(directory: Path, database_url: str) -> None:
    async with (
        running_agent(directory, database_url, None) as one,
        running_agent(directory, database_url, None) as other,
    ):
        assert (await one.http.patch(CONFIG, json={"window_size": 7})).status_code == 200
        await asyncio.sleep(0.6)
        sizes = [(await config_of(agent))["window_size"] for agent in (one, other)]
        assert sizes == [7, 20]


async def test_a_change_that_cannot_be_stored_changes_nothing(
    directory: Path, database_url: str, pool: Pool
) -> None:
    async with running_agent(directory, database_url) as agent:
        async with pool.connection() as conn:
            await conn.execute("ALTER TABLE agent_settings ADD CHECK (window_size IS DISTINCT FROM 13)")
        answer = await agent.http.patch(CONFIG, json={"window_size": 13})
        assert answer.status_code == 500
        assert (await config_of(agent))["window_size"] == 20
