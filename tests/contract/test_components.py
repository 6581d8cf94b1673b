"""An agent takes its components from a real registry, and follows it while it works."""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.agent_runtime.tools.connecting import eventually
from tests.agents import Agent, running_agent, write_project
from tests.contract.components import SHOWING, TAKEN, Seen, ids, metadata, put, reload, see
from tests.mcp_servers import McpProcess, start_mcp_server, stdio_command
from tests.processes import free_port
from tests.registry.registries import Served

Open = Callable[..., AbstractAsyncContextManager[Agent]]

MCP = '[mcp.tools]\ncomponent = "tools"\n'


@pytest.fixture
def open_agent(tmp_path: Path, database_url: str) -> Open:
    """Opens the showing agent, with a registry and with more lines of `agent.toml`, once it has tried to load."""

    @asynccontextmanager
    async def open_agent(registry: Served | str, extra: str = TAKEN, **settings: Any) -> AsyncIterator[Agent]:
        directory = tmp_path / "agent"
        if not directory.exists():
            write_project(directory, SHOWING, extra=extra)
        given: dict[str, Any] = {"registry_heartbeat_seconds": 0.2, "internal_runtime_control_enabled": True}
        if isinstance(registry, Served):
            given |= {"registry_url": registry.url, "registry_token": registry.token}
        else:
            given |= {"registry_url": registry}
        async with running_agent(directory, database_url, **given | settings) as agent:
            await agent.runtime.components.reloads.settled()
            yield agent

    return open_agent


@pytest.fixture
def mcp_server() -> Iterator[McpProcess]:
    with start_mcp_server() as server:
        yield server


async def test_a_changed_prompt_is_used_by_the_next_turn_of_a_running_conversation(
    registry: Served, open_agent: Open
) -> None:
    await put(registry, "prompt", "system", template="You are {{ agent_id }}")
    async with open_agent(registry) as agent:
        assert (await see(agent, context="c1")).prompt == "You are test-agent"
        await put(registry, "prompt", "system", template="Be brief")
        await eventually(lambda: agent.runtime.components.live.current.generation == 3)
        assert (await see(agent, context="c1")).prompt == "Be brief"
        assert len(await agent.messages("c1")) == 4


async def test_what_the_registry_does_not_have_is_as_the_project_says(registry: Served, open_agent: Open) -> None:
    async with open_agent(registry) as agent:
        assert (await see(agent)).prompt == "local"
        statuses = [(ref["version"], ref["status"]) for ref in (await metadata(agent))["refs"]]
        assert statuses == [(None, "fallback"), (None, "fallback")]


async def test_a_reload_tells_what_changed_what_did_not_and_what_could_not(
    registry: Served, open_agent: Open
) -> None:
    await put(registry, "model", "model", model="", introduction="one")
    async with open_agent(registry, TAKEN + MCP, registry_auto_reload=False) as agent:
        assert ids((await reload(agent))["failed"]) == ["mcp/tools"]
        await put(registry, "prompt", "system", template="two")
        await put(registry, "mcp", "tools", url=f"http://127.0.0.1:{free_port()}/mcp")
        result = await reload(agent)
        assert result["generation"] == result["previous_generation"] + 1
        assert [ids(result[part]) for part in ("reloaded", "unchanged", "failed")] == [
            ["prompt/system"],
            ["model/model"],
            ["mcp/tools"],
        ]
        assert "version 1: cannot connect" in result["failed"][0]["error"]
        assert (await see(agent)) == Seen("two", "one", [])
        again = await agent.http.post("/internal/reload")
        assert again.json()["data"]["generation"] == result["generation"]
        assert (await agent.http.get("/internal/runtime-metadata")).json()["data"] == await metadata(agent)


async def test_a_turn_ends_with_what_it_began_with(
    registry: Served, open_agent: Open, mcp_server: McpProcess
) -> None:
    await put(registry, "prompt", "system", template="old")
    await put(registry, "mcp", "tools", url=mcp_server.url)
    async with open_agent(registry, TAKEN + MCP) as agent:
        held = asyncio.create_task(see(agent, "hold it"))
        await eventually((agent.directory / "holding").exists)
        await put(registry, "prompt", "system", template="new")
        assert (await registry.http.delete("/components/mcp/tools")).is_success
        await put(registry, "mcp", "tools", url=mcp_server.url, headers={"X-Version": "2"})
        await reload(agent)
        after = await see(agent)
        assert len(agent.runtime.components.live.current.sources) == 1
        agent.release("it")
        before = await held
        assert (before.prompt, after.prompt) == ("old", "new")
        assert before.tools == after.tools != []
        await eventually(lambda: agent.runtime.components.live.held == 0)


async def test_a_broken_component_holds_back_no_other_and_recovers_by_itself(
    registry: Served, open_agent: Open, mcp_server: McpProcess
) -> None:
    await put(registry, "mcp", "tools", url=mcp_server.url)
    async with open_agent(registry, TAKEN + MCP) as agent:
        good = (await see(agent)).tools
        assert good
        late = McpProcess(free_port())
        await put(registry, "mcp", "tools", url=late.url)
        await put(registry, "prompt", "system", template="new")
        await eventually(lambda: agent.runtime.components.live.current.generation == 3)
        assert await see(agent) == Seen("new", (await see(agent)).model, good)
        state = (await agent.http.get("/api/v1/status")).json()["data"]["mcp"]["tools"]
        assert state["connected"] is True
        assert (state["component"]["status"], state["component"]["version"]) == ("failed", 1)
        assert "version 2" in state["component"]["error"]
        mcp_server.kill()
        await asyncio.to_thread(late.start)
        try:
            await eventually(lambda: agent.runtime.components.live.current.refs()[2].version == 2)
            assert await agent.ask("add it") == "5"
        finally:
            late.kill()


async def test_a_template_that_the_agent_cannot_render_is_refused_by_it(
    registry: Served, open_agent: Open
) -> None:
    await put(registry, "prompt", "system", template="good")
    async with open_agent(registry, registry_auto_reload=False) as agent:
        await put(registry, "prompt", "system", template="{{ weather }}")
        (failed,) = (await reload(agent))["failed"]
        assert "version 2: template: does not render: 'weather' is not known" in failed["error"]
        assert (await see(agent)).prompt == "good"


async def test_the_registry_shows_who_runs_what_and_who_could_not(registry: Served, open_agent: Open) -> None:
    await put(registry, "prompt", "system", template="good")
    async with open_agent(registry):

        async def status() -> Any:
            return (await registry.http.get("/components/prompt/system/status")).json()

        async def until(**summary: int) -> dict[str, Any]:
            async with asyncio.timeout(5):
                while not ((seen := await status())["summary"].items() >= summary.items()):
                    await asyncio.sleep(0.05)
            found: dict[str, Any] = seen["agents"][0]
            return found

        assert (await until(current=1))["version"] == 1
        await put(registry, "prompt", "system", template="{{ weather }}")
        failed = await until(failed=1)
        assert (failed["agent_id"], failed["version"], failed["state"]) == ("test-agent", 1, "failed")
        assert "weather" in failed["error"]
        rolled_back = await registry.http.post("/components/prompt/system/rollback", json={"version": 1})
        assert rolled_back.is_success
        assert (await until(current=1))["version"] == 3


async def test_an_agent_begins_with_what_it_had_when_the_registry_is_away(
    registry: Served, open_agent: Open
) -> None:
    await put(registry, "prompt", "system", template="from the registry")
    async with open_agent(registry) as agent:
        assert (await see(agent)).prompt == "from the registry"
    async with open_agent(f"http://127.0.0.1:{free_port()}") as again:
        assert (await see(again)).prompt == "from the registry"
        refused = await again.http.post("/api/v1/registry/reload")
        assert (refused.status_code, refused.json()["error"]["code"]) == (409, "RUNTIME_UNAVAILABLE")
        assert "cannot connect" in refused.json()["error"]["message"]


async def test_a_registered_agent_becomes_a_tool_and_follows_its_registration(
    registry: Served, open_agent: Open, tmp_path: Path, database_url: str
) -> None:
    peer_directory = write_project(tmp_path / "peer")
    async with running_agent(peer_directory, database_url, "peer") as peer:
        await registry.http.post("/agents", json={"id": "peer", "uri": "http://127.0.0.1:9", "name": "peer"})
        extra = TAKEN + '[a2a.friend]\ncomponent = "peer"\n'
        async with open_agent(registry, extra) as agent:
            assert (await see(agent)).tools == []
            await agent.runtime.card_url.change(agent.url)
            await peer.runtime.card_url.change(peer.url)
            await registry.http.post("/agents", json={"id": "peer", "uri": peer.url, "name": "peer"})
            await eventually(lambda: agent.runtime.components.live.current.tools)
            assert (await see(agent)).tools == ["ask_friend"]


async def test_secrets_come_from_the_environment_of_the_agent_and_show_nowhere(
    registry: Served,
    open_agent: Open,
    mcp_server: McpProcess,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("WEATHER_TOKEN", "canary-4711")
    await put(registry, "mcp", "tools", url=mcp_server.url, headers={"X-Key": "${WEATHER_TOKEN}"})
    async with open_agent(registry, TAKEN + MCP) as agent:
        reveal = next(tool for tool in agent.runtime.components.live.current.tools if "reveal" in tool.name)
        assert "canary-4711" in str(await reveal.ainvoke({"name": "X-Key"}))
        shown = [str(await metadata(agent)), (await agent.http.get("/status")).text, str(await reload(agent))]
        shown.append((await registry.http.get("/components/mcp/tools/status")).text)
    assert "canary-4711" not in "".join(shown) + caplog.text


async def test_an_agent_that_does_not_follow_waits_to_be_told(registry: Served, open_agent: Open) -> None:
    await put(registry, "prompt", "system", template="one")
    async with open_agent(registry, registry_auto_reload=False) as agent:
        await put(registry, "prompt", "system", template="two")
        await asyncio.sleep(0.7)
        assert (await see(agent)).prompt == "one"
        await reload(agent)
        assert (await see(agent)).prompt == "two"


async def test_reloads_of_one_agent_do_not_overlap(registry: Served, open_agent: Open) -> None:
    async with open_agent(registry, registry_auto_reload=False) as agent:
        await put(registry, "prompt", "system", template="new")
        results = await asyncio.gather(*(reload(agent) for _ in range(8)))
        assert sum(bool(result["reloaded"]) for result in results) == 1
        assert {result["generation"] for result in results} == {agent.runtime.components.live.current.generation}


async def test_under_load_no_turn_fails_or_mixes_two_generations_and_nothing_is_left_over(
    registry: Served, open_agent: Open, mcp_server: McpProcess
) -> None:
    command, args = stdio_command()
    servers: list[dict[str, Any]] = [{"url": mcp_server.url}, {"command": command, "args": args}]

    async def change(number: int) -> None:
        await put(registry, "prompt", "system", template=f"p{number}")
        await put(registry, "model", "model", model="", introduction=f"m{number}")
        await put(registry, "mcp", "tools", **servers[number % 2])
        assert not (await reload(agent))["failed"]

    async def talk(until: asyncio.Event) -> list[Seen]:
        seen = []
        while not until.is_set():
            seen.append(await see(agent))
        return seen

    own = psutil.Process(os.getpid())
    async with open_agent(registry, TAKEN + MCP, registry_auto_reload=False) as agent:
        await change(0)
        children, done = len(own.children()), asyncio.Event()
        talking = [asyncio.create_task(talk(done)) for _ in range(3)]
        for number in range(1, 7):
            await change(number)
        done.set()
        seen = [one for talk in talking for one in await talk]
        assert all(one.prompt[1:] == one.model[1:] for one in seen)
        assert {bool(one.tools) for one in seen} == {True}
        await eventually(lambda: len(own.children()) == children)
        assert len(agent.runtime.components.live.current.sources) == 1
