"""MCP servers that are real processes, over both transports: used, lost, and found again."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.graph import MessagesState, StateGraph
from langgraph.prebuilt import ToolNode

from agent_runtime.components.snapshot import Snapshot
from agent_runtime.tools.connection_state import Timing
from groundwork.outgoing.mcp_server import McpServer
from tests.agent_runtime.tools.connecting import call_tool, connected_to, eventually
from tests.mcp_servers import McpProcess, start_mcp_server, stdio_command

QUICK = Timing(
    ping_seconds=0.1,
    ping_timeout_seconds=1,
    list_seconds=0.3,
    call_timeout_seconds=60,
    first_retry_seconds=0.1,
    longest_retry_seconds=0.3,
    settle_seconds=10,
)


@pytest.fixture(scope="module")
def server_of_this_module(tmp_path_factory: pytest.TempPathFactory) -> Iterator[McpProcess]:
    """One for all tests here: starting a server takes longer than most of them."""
    directory = tmp_path_factory.mktemp("mcp")
    environment = {"EFFECTS": str(directory / "effects"), "DIE": str(directory / "die")}
    with start_mcp_server(environment=environment) as server:
        yield server


@pytest.fixture
def http_server(server_of_this_module: McpProcess) -> McpProcess:
    """A server that runs and has done nothing yet; a test may kill it."""
    effects_of(server_of_this_module).unlink(missing_ok=True)
    if not server_of_this_module.is_running:
        server_of_this_module.start()
    return server_of_this_module


def connected(*servers: McpServer, timing: Timing = QUICK) -> AbstractAsyncContextManager[Snapshot]:
    return connected_to(*servers, timing=timing)


def over_http(server: McpProcess, **options: Any) -> McpServer:
    return McpServer("remote", url=server.url, **options)


def over_stdio(tmp_path: Path, **env: str) -> McpServer:
    command, args = stdio_command()
    effects = {"EFFECTS": str(tmp_path / "effects"), "DIE": str(tmp_path / "die")}
    return McpServer("child", command=command, args=tuple(args), env={**effects, **env}, cwd=tmp_path)


async def call(connections: Snapshot, name: str, /, **arguments: Any) -> ToolMessage:
    return await call_tool(next(tool for tool in connections.tools if tool.name == name), **arguments)


def effects_of(server: McpProcess) -> Path:
    return Path(server.environment["EFFECTS"])


def die_in_next_call(server: McpProcess) -> None:
    Path(server.environment["DIE"]).touch()


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def children() -> list[psutil.Process]:
    return psutil.Process().children(recursive=True)


async def test_tools_over_http_are_named_after_their_server(http_server: McpProcess) -> None:
    async with connected(over_http(http_server)) as connections:
        names = [tool.name for tool in connections.tools]
        assert {"remote_add", "remote_shout_loud"} <= set(names)
        assert (await call(connections, "remote_add", a=2, b=3)).text == "5"
        assert (await call(connections, "remote_shout_loud", text="hi")).text == "HI"
        state = connections.status()["mcp"]["remote"]
    assert state["connected"] is True
    assert state["status"] == "connected"
    assert state["url"] == http_server.url
    assert state["tools"] == len(names)
    assert "last_error" not in state


async def test_tools_over_stdio_get_the_environment_they_are_given(tmp_path: Path) -> None:
    async with connected(over_stdio(tmp_path, FLAVOUR="vanilla")) as connections:
        assert (await call(connections, "child_add", a=2, b=3)).text == "5"
        assert (await call(connections, "child_reveal", name="FLAVOUR")).text == "vanilla"


async def test_headers_are_sent_and_never_shown(http_server: McpProcess, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "agent_runtime")
    server = over_http(http_server, headers={"X-Key": "canary-4711"})
    async with connected(server) as connections:
        assert (await call(connections, "remote_reveal", name="X-Key")).text == "canary-4711"
        http_server.kill()
        await eventually(lambda: connections.status()["mcp"]["remote"]["status"] == "unavailable")
        shown = repr(connections.status()) + repr(server)
    assert "canary" not in shown + caplog.text


async def test_a_graph_calls_the_tools_through_langgraphs_own_tool_node(http_server: McpProcess) -> None:
    async with connected(over_http(http_server)) as connections:

        async def call_tools(state: MessagesState) -> Any:
            return await ToolNode(connections.tools).ainvoke(state)

        graph = StateGraph(MessagesState).add_node(call_tools).set_entry_point("call_tools").compile()
        wanted = [("remote_add", {"a": 2, "b": 3}), ("remote_fail", {})]
        calls = [{"name": name, "args": args, "id": name} for name, args in wanted]
        state = await graph.ainvoke({"messages": [AIMessage("", tool_calls=calls)]})
    added, failed = state["messages"][-2:]
    assert (added.status, added.text) == ("success", "5")
    assert failed.status == "error"


async def test_a_tools_own_error_is_for_the_model(http_server: McpProcess) -> None:
    async with connected(over_http(http_server)) as connections:
        answer = await call(connections, "remote_fail")
        assert answer.status == "error"
        assert "always fails" in answer.text
        wrong = await call(connections, "remote_add", a="no number")
        assert wrong.status == "error"


async def test_a_server_that_is_killed_and_started_again_comes_back_by_itself(http_server: McpProcess) -> None:
    async with connected(over_http(http_server)) as connections:
        before = connections.tools
        http_server.kill()
        await eventually(lambda: not connections.tools)
        state = connections.status()["mcp"]["remote"]
        assert state["connected"] is False
        assert "cannot connect" in state["last_error"]
        assert "tools" not in state
        answer = await call_tool(before[0], a=1, b=1)
        assert answer.status == "error"
        assert "nothing was done" in answer.text
        await asyncio.to_thread(http_server.start)
        await eventually(lambda: connections.tools)
        assert (await call(connections, "remote_add", a=2, b=3)).text == "5"
        assert (await call_tool(before[0], a=2, b=3)).text == "5"


async def test_the_first_call_after_an_unnoticed_restart_succeeds_on_a_fresh_session(
    http_server: McpProcess,
) -> None:
    timing = Timing(ping_seconds=60, first_retry_seconds=30, settle_seconds=10)
    async with connected(over_http(http_server), timing=timing) as connections:
        http_server.kill()
        await asyncio.to_thread(http_server.start)
        assert (await call(connections, "remote_record", what="tea")).text == "noted tea"
    assert lines(effects_of(http_server)) == ["tea"]


async def test_a_server_that_is_down_at_start_appears_when_it_comes() -> None:
    with start_mcp_server(started=False) as server:
        began_at = time.monotonic()
        async with connected(over_http(server)) as connections:
            assert time.monotonic() - began_at < 2
            assert connections.tools == ()
            assert connections.status()["mcp"]["remote"]["status"] == "unavailable"
            await asyncio.to_thread(server.start)
            await eventually(lambda: connections.tools)
            assert (await call(connections, "remote_add", a=2, b=3)).text == "5"


async def test_a_server_that_never_answers_holds_nobody_up() -> None:
    async def say_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listener = await asyncio.start_server(say_nothing, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}/mcp"
    timing = Timing(settle_seconds=0.2, open_timeout_seconds=0.5)
    began_at = time.monotonic()
    async with connected(McpServer("silent", url=url), timing=timing) as connections:
        assert connections.status()["mcp"]["silent"]["status"] == "connecting"
        await eventually(lambda: connections.status()["mcp"]["silent"]["status"] == "unavailable")
    assert time.monotonic() - began_at < 3
    listener.close()


async def test_a_call_that_may_have_had_its_effect_is_not_repeated(http_server: McpProcess) -> None:
    die_in_next_call(http_server)
    async with connected(over_http(http_server)) as connections:
        began_at = time.monotonic()
        answer = await call(connections, "remote_record", what="transfer")
        assert answer.status == "error"
        assert "not known" in answer.text
        assert time.monotonic() - began_at < 3
        await asyncio.to_thread(http_server.start)
        await eventually(lambda: connections.tools)
        await asyncio.sleep(0.3)
    assert lines(effects_of(http_server)) == ["transfer"]


async def test_a_child_that_dies_in_a_call_is_started_again_and_asked_again_only_if_that_does_no_harm(
    tmp_path: Path,
) -> None:
    async with connected(over_stdio(tmp_path)) as connections:
        (tmp_path / "die").touch()
        answer = await call(connections, "child_record", what="transfer")
        assert answer.status == "error"
        await eventually(lambda: connections.tools)
        (tmp_path / "die").touch()
        answer = await call(connections, "child_record_idempotent", what="tea")
        assert answer.text == "noted tea"
    assert lines(tmp_path / "effects") == ["transfer", "tea", "tea"]


async def test_the_call_after_a_child_was_killed_succeeds(tmp_path: Path) -> None:
    others = set(children())
    async with connected(over_stdio(tmp_path), timing=Timing(settle_seconds=10, ping_seconds=60)) as connections:
        (child,) = set(children()) - others
        child.kill()
        await asyncio.sleep(0.1)
        assert (await call(connections, "child_record", what="tea")).text == "noted tea"
    assert lines(tmp_path / "effects") == ["tea"]


async def test_a_command_that_does_not_exist_is_a_state_and_no_error(tmp_path: Path) -> None:
    server = McpServer("child", command="no-such-command", cwd=tmp_path)
    async with connected(server) as connections:
        state = connections.status()["mcp"]["child"]
    assert state["status"] == "unavailable"
    assert "no-such-command" in state["last_error"]


async def test_a_slow_call_ends_at_its_timeout_and_leaves_the_session_usable(http_server: McpProcess) -> None:
    timing = Timing(call_timeout_seconds=0.3, settle_seconds=10)
    async with connected(over_http(http_server), timing=timing) as connections:
        slow = await call(connections, "remote_sleep", seconds=5)
        assert slow.status == "error"
        assert "not known" in slow.text
        assert (await call(connections, "remote_add", a=2, b=3)).text == "5"


async def test_a_server_busy_with_a_call_is_not_taken_for_dead(http_server: McpProcess) -> None:
    timing = Timing(ping_seconds=0.1, ping_timeout_seconds=0.2, settle_seconds=10)
    async with connected(over_http(http_server), timing=timing) as connections:
        assert (await call(connections, "remote_block", seconds=0.7)).text == "awake"


async def test_a_cancelled_call_leaves_the_session_usable(http_server: McpProcess) -> None:
    async with connected(over_http(http_server)) as connections:
        calling = asyncio.create_task(call(connections, "remote_sleep", seconds=30))
        await asyncio.sleep(0.2)
        calling.cancel()
        with pytest.raises(asyncio.CancelledError):
            await calling
        assert (await call(connections, "remote_add", a=2, b=3)).text == "5"


async def test_a_long_text_is_cut_and_says_so(http_server: McpProcess) -> None:
    async with connected(over_http(http_server)) as connections:
        answer = await call(connections, "remote_big", length=3_000_000)
        too_long = await call(connections, "remote_big", length=20_000_000)
    assert len(answer.text) < 1_100_000
    assert "cut: the whole text has 3000000 bytes" in answer.text
    assert too_long.status == "error"
    assert "longer than" in too_long.text


@pytest.mark.parametrize(("name", "list_seconds"), [("announced", 60), ("unannounced", 0.2)])
async def test_a_new_tool_is_offered_with_or_without_an_announcement(
    http_server: McpProcess, name: str, list_seconds: float
) -> None:
    timing = Timing(ping_seconds=0.1, list_seconds=list_seconds, settle_seconds=10)
    async with connected(over_http(http_server), timing=timing) as connections:
        before = connections.tools
        if name == "announced":
            await call(connections, "remote_add_tool", name=name)
        else:
            async with connected(over_http(http_server)) as others:  # only the session that asked is told
                await call(others, "remote_add_tool", name=name)
        await eventually(lambda: f"remote_{name}" in [tool.name for tool in connections.tools])
        assert f"remote_{name}" not in [tool.name for tool in before]


async def test_the_tools_stay_the_same_objects_while_nothing_changes(http_server: McpProcess) -> None:
    async with connected(over_http(http_server)) as connections:
        before = connections.tools
        await asyncio.sleep(0.6)
        assert [*map(id, connections.tools)] == [*map(id, before)]


async def test_closing_leaves_no_process_no_task_and_no_connection(
    http_server: McpProcess, tmp_path: Path
) -> None:
    others = set(children())
    tasks_before = asyncio.all_tasks()
    async with connected(over_http(http_server), over_stdio(tmp_path)) as connections:
        assert len(connections.tools) > 10
        pending = asyncio.create_task(call(connections, "remote_sleep", seconds=30))
        await asyncio.sleep(0.2)
        assert len(set(children()) - others) == 1
    assert (await pending).status == "error"
    assert set(children()) == others
    await eventually(lambda: asyncio.all_tasks() == tasks_before, 2)
    assert [
        c for c in psutil.Process().net_connections("tcp") if c.raddr and c.raddr.port == http_server.port
    ] == []


async def test_one_server_down_does_not_concern_another(http_server: McpProcess, tmp_path: Path) -> None:
    down = McpServer("down", url="http://127.0.0.1:9/mcp")
    async with connected(down, over_http(http_server)) as connections:
        assert (await call(connections, "remote_add", a=2, b=3)).text == "5"
        assert connections.status()["mcp"]["down"]["connected"] is False
