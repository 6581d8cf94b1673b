"""With DENY_PRIVATE_NETWORKS, an agent reaches in private networks what its operator names, and nothing else."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.responses import RedirectResponse
from starlette.routing import Route

from tests.agent_runtime.tools.connecting import call_tool, eventually
from tests.agent_runtime.tools.test_peers import running_peer
from tests.agents import CHAT, Agent, running_agent, write_project
from tests.contract.components import ids, put, reload
from tests.mcp_servers import McpProcess, start_mcp_server
from tests.registry.registries import Served
from tests.servers import run_server

TAKEN = """
[mcp.tools]
component = "tools"
[a2a.friend]
component = "friend"
"""

REFUSED = "is, or resolves to, an address in a private or reserved network"


@dataclass
class Listener:
    """Something in a private network that says nothing, and notices who connects."""

    port: int = 0
    connections: int = 0

    async def notice(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.close()


@pytest.fixture
async def listener() -> AsyncIterator[Listener]:
    listener = Listener()
    async with await asyncio.start_server(listener.notice, "127.0.0.1", 0) as server:
        listener.port = server.sockets[0].getsockname()[1]
        yield listener


@pytest.fixture
def mcp_server() -> Iterator[McpProcess]:
    with start_mcp_server() as server:
        yield server


@asynccontextmanager
async def careful_agent(
    directory: Path, database_url: str, extra: str, registry: Served | None = None, **settings: Any
) -> AsyncIterator[Agent]:
    """An agent with these lines in its `agent.toml`, once it has tried everything that they name."""
    if not directory.exists():
        write_project(directory, CHAT, extra=extra)
    given: dict[str, Any] = {"deny_private_networks": True, "internal_runtime_control_enabled": True}
    if registry is not None:
        given |= {"registry_url": registry.url, "registry_token": registry.token}
    async with running_agent(directory, database_url, **given | settings) as agent:
        for source in agent.runtime.components.live.current.sources:
            await source.settled()
        yield agent


async def outside(agent: Agent) -> dict[str, dict[str, Any]]:
    """How it stands with the MCP server `tools` and the peer `friend`."""
    data = (await agent.http.get("/api/v1/status")).json()["data"]
    return {"tools": data["mcp"]["tools"], "friend": data["a2a"]["friend"]}


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::ffff:127.0.0.1]"])
async def test_what_the_registry_names_is_refused_with_the_reason_and_not_connected_to(
    registry: Served, tmp_path: Path, database_url: str, listener: Listener, host: str
) -> None:
    url = f"http://{host}:{listener.port}"
    await put(registry, "mcp", "tools", url=f"{url}/mcp")
    await registry.http.post("/agents", json={"id": "friend", "uri": url, "name": "friend"})
    async with careful_agent(tmp_path / "agent", database_url, TAKEN, registry) as agent:
        failed = (await reload(agent))["failed"]
        assert sorted(ids(failed)) == ["agent/friend", "mcp/tools"]
        assert [ref["error"] for ref in failed if REFUSED not in ref["error"]] == []
        assert agent.runtime.components.live.current.tools == ()
    assert listener.connections == 0


async def test_what_the_registry_named_before_is_refused_from_the_start_on(
    registry: Served, tmp_path: Path, database_url: str, mcp_server: McpProcess
) -> None:
    await put(registry, "mcp", "tools", url=mcp_server.url)
    open_agent = (tmp_path / "agent", database_url, TAKEN, registry)
    async with running_peer() as (peer, url):
        await registry.http.post("/agents", json={"id": "friend", "uri": url, "name": "friend"})
        async with careful_agent(*open_agent, deny_private_networks=False) as agent:
            await eventually(lambda: {"tools_add", "ask_friend"} <= tools_of(agent).keys())
        async with careful_agent(*open_agent) as agent:
            for state in (await outside(agent)).values():
                assert (state["connected"], REFUSED in state["last_error"]) == (False, True)
            assert tools_of(agent) == {}
        assert peer.echo.heard == []


async def test_hosts_that_the_project_names_are_allowed(
    tmp_path: Path, database_url: str, mcp_server: McpProcess
) -> None:
    async with running_peer() as (_, url):
        extra = f'[mcp.tools]\nurl = "{mcp_server.url}"\n[a2a.friend]\nurl = "{url}"\n'
        async with careful_agent(tmp_path / "agent", database_url, extra) as agent:
            tools = tools_of(agent)
            assert (await call_tool(tools["tools_add"], a=2, b=3)).text == "5"
            assert "you said hi" in (await call_tool(tools["ask_friend"], message="hi")).text


async def test_they_are_allowed_to_the_registry_too(
    registry: Served, tmp_path: Path, database_url: str, mcp_server: McpProcess
) -> None:
    extra = '[mcp.tools]\ncomponent = "tools"\nurl = "http://127.0.0.1:9/mcp"\n'
    await put(registry, "mcp", "tools", url=mcp_server.url)
    async with careful_agent(tmp_path / "agent", database_url, extra, registry) as agent:
        await eventually(lambda: "tools_add" in tools_of(agent))


async def test_what_they_redirect_to_is_not(tmp_path: Path, database_url: str, listener: Listener) -> None:
    async def redirect(_: Any) -> RedirectResponse:
        return RedirectResponse(f"http://localhost:{listener.port}/")

    app = Starlette(routes=[Route("/{path:path}", redirect, methods=["GET", "POST"])])
    async with run_server(app) as url:
        extra = f'[mcp.tools]\nurl = "{url}/mcp"\n[a2a.friend]\nurl = "{url}"\n'
        async with careful_agent(tmp_path / "agent", database_url, extra) as agent:
            states = await outside(agent)
            assert "not followed" in states["tools"]["last_error"]
            assert "answers 307" in states["friend"]["last_error"]
            assert tools_of(agent) == {}
    assert listener.connections == 0


async def test_where_a_peers_card_points_to_is_not(
    tmp_path: Path, database_url: str, listener: Listener, caplog: pytest.LogCaptureFixture
) -> None:
    async with running_peer() as (peer, url):
        peer.publish(f"http://localhost:{listener.port}")
        async with careful_agent(tmp_path / "agent", database_url, f'[a2a.friend]\nurl = "{url}"\n') as agent:
            answer = await call_tool(tools_of(agent)["ask_friend"], message="hi")
    assert answer.status == "error"
    assert answer.text == f"friend cannot be reached (localhost {REFUSED}); nothing was sent"
    assert listener.connections == 0
    assert "crashed" not in caplog.text


def tools_of(agent: Agent) -> dict[str, Any]:
    return {tool.name: tool for tool in agent.runtime.components.live.current.tools}
