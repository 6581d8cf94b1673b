"""MCP servers that many people use, as an agent has them: tools, answers for the model, questions, progress."""

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.components.snapshot import Snapshot
from agent_runtime.tools.connection_state import Timing
from groundwork.models.offline.model import OfflineChatModel
from groundwork.outgoing.mcp_server import McpServer
from tests.agent_runtime.tools.connecting import call_tool, connected_to
from tests.agent_runtime.tools.test_elicitation import CALLING, asked, connected_agent, say
from tests.agents import answer_text, write_project
from tests.mcp_servers import free_port
from tests.servers import run_server
from tests.strange_mcp import Strange

SERVERS = Path(os.environ["TEST_MCP_SERVERS"])
NODE = SERVERS / "node_modules" / ".bin"
PATIENT = Timing(settle_seconds=60)
EVERYTHING = NODE / "mcp-server-everything"


def of_node(name: str, *args: str, **more: Any) -> McpServer:
    return McpServer(name, command=str(NODE / f"mcp-server-{name}"), args=args, **more)


def of_python(name: str, *args: str) -> McpServer:
    return McpServer(name, command=str(SERVERS / "bin" / f"mcp-server-{name}"), args=args)


async def call(connections: Snapshot, name: str, /, **arguments: Any) -> Any:
    return await call_tool(next(tool for tool in connections.tools if tool.name == name), **arguments)


@pytest.fixture(scope="module")
def everything_url() -> Iterator[str]:
    port = free_port()
    environment = {**os.environ, "PORT": str(port)}
    process = subprocess.Popen([EVERYTHING, "streamableHttp"], env=environment, stderr=subprocess.DEVNULL)
    try:
        while process.poll() is None:
            with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=0.2):
                break
        yield f"http://127.0.0.1:{port}/mcp"
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def everything(transport: str, url: str, **more: Any) -> AsyncIterator[Snapshot]:
    server = McpServer("everything", url=url, **more) if transport == "http" else of_node("everything", **more)
    async with connected_to(server, timing=PATIENT) as connections:
        yield connections


async def test_servers_over_stdio_are_connected_and_called(tmp_path: Path):
    subprocess.run(["git", "init", "--quiet", tmp_path / "repo"], check=True)
    (tmp_path / "repo" / "a.txt").write_text("words")
    notes = {"MEMORY_FILE_PATH": str(tmp_path / "notes.json")}
    outside = (
        of_node("memory", env=notes),
        of_node("sequential-thinking"),
        of_python("time", "--local-timezone", "UTC"),
        of_python("git"),
        of_python("fetch", "--ignore-robots-txt", "--allow-private-ips"),
    )
    async with (
        run_server(Strange().app) as url,
        connected_to(*outside, timing=PATIENT) as connections,
    ):
        assert all(state["connected"] for state in connections.status()["mcp"].values()), connections.status()
        entity = {"name": "Ada", "entityType": "person", "observations": ["likes tea"]}
        assert "Ada" in (await call(connections, "memory_create_entities", entities=[entity])).text
        assert "likes tea" in (await call(connections, "memory_search_nodes", query="Ada")).text
        assert "UTC" in (await call(connections, "time_get_current_time", timezone="UTC")).text
        assert "a.txt" in (await call(connections, "git_git_status", repo_path=str(tmp_path / "repo"))).text
        assert "405" in (await call(connections, "fetch_fetch", url=f"{url}/mcp")).text
        thought = {"thought": "hm", "nextThoughtNeeded": False, "thoughtNumber": 1, "totalThoughts": 1}
        told = await call(connections, "sequential-thinking_sequentialthinking", **thought)
        assert json.loads(told.text)["thoughtNumber"] == 1
        introduced = await OfflineChatModel().bind_tools(connections.tools).ainvoke("who are you?")
    assert "call sequential-thinking_sequentialthinking" in introduced.text


@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_everything_that_a_tool_can_answer_is_shown(transport: str, everything_url: str):
    async with everything(transport, everything_url) as connections:
        left_out = connections.status()["mcp"]["everything"]["left_out"]
        assert "taskSupport" in left_out["simulate-research-query"]
        assert "17" in (await call(connections, "everything_get-sum", a=8, b=9)).text
        assert "demo://resource" in (await call(connections, "everything_get-resource-links", count=2)).text
        reference = await call(connections, "everything_get-resource-reference", resourceType="Blob", resourceId=1)
        assert "Resource 1" in reference.text
        weather = await call(connections, "everything_get-structured-content", location="Chicago")
        assert "temperature" in weather.text
        image = await call(connections, "everything_get-tiny-image")
        assert "image" in [block["type"] for block in image.content]
        assert (await call(connections, "everything_get-sum", a="no number")).status == "error"


@pytest.mark.parametrize("transport", ["stdio", "http"])
async def test_progress_gives_a_long_call_more_time(transport: str, everything_url: str):
    async with everything(transport, everything_url, timeout_seconds=2) as connections:
        told = await call(connections, "everything_trigger-long-running-operation", duration=4, steps=8)
    assert "completed" in told.text


async def test_what_the_server_asks_is_asked_of_the_caller(everything_url: str, tmp_path: Path, database_url: str):
    project = write_project(tmp_path, CALLING, extra=f'[mcp.shop]\nurl = "{everything_url}"\n')
    async with connected_agent(project, database_url) as agent:
        task = (await agent.send("call shop_trigger-elicitation-request {}"))["task"]
        assert "name" in asked(task)
        refused = await say(agent, task, '{"name": 5}')
        assert "5 is not of type 'string'" in asked(refused)
        done = await say(agent, task, '{"name": "Ada", "check": true}')
        assert "Ada" in answer_text(done)
        task = (await agent.send("call shop_trigger-elicitation-request {}"))["task"]
        assert "declined" in answer_text(await say(agent, task, "decline"))


async def test_calls_at_once_do_not_disturb_each_other(everything_url: str):
    async with everything("http", everything_url) as connections:
        sums = [call(connections, "everything_get-sum", a=number, b=0) for number in range(30)]
        texts = [told.text for told in await asyncio.gather(*sums)]
    assert [str(number) in text for number, text in enumerate(texts)] == [True] * 30
