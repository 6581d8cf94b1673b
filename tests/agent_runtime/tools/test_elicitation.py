"""What an MCP server asks in the middle of a call is asked of whoever sent the message, and answered there."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.agents import Agent, answer_text, running_agent, write_project
from tests.mcp_servers import McpProcess, start_mcp_server, stdio_command

CALLING = """
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.runtime import Runtime
from agent_runtime.graph import TurnContext

async def model(state: MessagesState, runtime: Runtime[TurnContext]):
    turn = runtime.context
    return {"messages": [await turn.model.bind_tools(turn.tools).ainvoke(state["messages"])]}

async def tools(state: MessagesState, runtime: Runtime[TurnContext]):
    return await ToolNode(runtime.context.tools).ainvoke(state)

graph = StateGraph(MessagesState, context_schema=TurnContext)
graph.add_node(model)
graph.add_node(tools)
graph.add_edge(START, "model")
graph.add_conditional_edges("model", tools_condition)
graph.add_edge("tools", "model")
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[McpProcess]:
    effects = tmp_path_factory.mktemp("mcp") / "effects"
    with start_mcp_server(environment={"EFFECTS": str(effects)}) as server:
        yield server


def project_with(server: McpProcess, directory: Path) -> Path:
    Path(server.environment["EFFECTS"]).unlink(missing_ok=True)
    return write_project(directory, CALLING, extra=f'[mcp.shop]\nurl = "{server.url}"\n')


@asynccontextmanager
async def connected_agent(project: Path, database_url: str) -> AsyncIterator[Agent]:
    async with running_agent(project, database_url) as agent:
        while not (await agent.http.get("/api/v1/status")).json()["data"]["mcp"]["shop"]["connected"]:
            await asyncio.sleep(0.05)
        yield agent


def asked(task: dict[str, Any]) -> str:
    assert task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED", task["status"]
    return json.dumps(task["status"]["message"]["parts"], ensure_ascii=False)


async def order(agent: Agent, **arguments: Any) -> dict[str, Any]:
    task: dict[str, Any] = (await agent.send(f"call shop_order {json.dumps(arguments)}"))["task"]
    return task


async def say(agent: Agent, task: dict[str, Any], text: str) -> dict[str, Any]:
    answered: dict[str, Any] = (await agent.send(text, contextId=task["contextId"], taskId=task["id"]))["task"]
    return answered


def effects(server: McpProcess) -> list[str]:
    path = Path(server.environment["EFFECTS"])
    return path.read_text().splitlines() if path.exists() else []


async def test_a_question_of_a_server_is_asked_of_the_caller_and_the_call_goes_on_with_the_answer(
    server: McpProcess, tmp_path: Path, database_url: str
):
    async with connected_agent(project_with(server, tmp_path), database_url) as agent:
        task, other = await asyncio.gather(order(agent, what="tea"), order(agent, what="milk"))
        for one, what in ((task, "tea"), (other, "milk")):
            assert f"How many of {what}?" in asked(one)
            assert "count (integer)" in asked(one)
        task = await say(agent, task, "a few")
        assert "'a few' is not of type 'integer'" in asked(task)
        task = await say(agent, task, '{"count": 3}')
        other = await say(agent, other, "decline")
    assert answer_text(task).endswith("shop_order answered: accept 3 of tea")
    assert answer_text(other).endswith("shop_order answered: decline of milk")
    assert sorted(effects(server)) == ["asked for milk", "asked for tea", "ordered 3 of tea"]


async def test_a_call_whose_process_is_gone_before_the_answer_has_an_unknown_outcome_and_is_not_made_again(
    server: McpProcess, tmp_path: Path, database_url: str
):
    async with connected_agent(project_with(server, tmp_path), database_url) as agent:
        task = await order(agent, what="tea")
        asked(task)
    async with connected_agent(tmp_path, database_url) as agent:
        task = await say(agent, task, "3")
    assert "whether order had its effect is not known, so it was not called again" in answer_text(task)
    assert effects(server) == ["asked for tea"]


async def test_two_questions_in_one_call_are_answered_one_after_the_other_over_stdio_too(
    tmp_path: Path, database_url: str
):
    command, args = stdio_command()
    described = f'[mcp.shop]\ncommand = "{command}"\nargs = {json.dumps(args)}\n'
    project = write_project(tmp_path, CALLING, extra=f"{described}env = {{ EFFECTS = '{tmp_path}/effects' }}\n")
    async with connected_agent(project, database_url) as agent:
        task = await order(agent, what="tea", confirm=True)
        task = await say(agent, task, "2")
        assert "Really 2 of tea?" in asked(task)
        task = await say(agent, task, "yes")
    assert answer_text(task).endswith("shop_order answered: accept 2 of tea")
