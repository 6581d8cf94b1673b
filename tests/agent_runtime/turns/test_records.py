"""What is kept of a turn that has ended: whose it was, what it used, and why it failed."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from typer.testing import CliRunner

from agent_runtime.command.cli import app
from tests.agents import Agent, running_agent, text_message, write_project

SOURCE = """
import asyncio
from pathlib import Path

from langchain_core.language_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph

HERE = Path(__file__).parent

class Told(BaseChatModel):
    model: str
    usage: dict
    _llm_type = "told"

    def _generate(self, messages, stop=None, run_manager=None, **more):
        return ChatResult(generations=[ChatGeneration(message=AIMessage("yes", usage_metadata=self.usage))])

    def _stream(self, messages, stop=None, run_manager=None, **more):
        yield ChatGenerationChunk(message=AIMessageChunk("yes"))
        yield ChatGenerationChunk(message=AIMessageChunk("", usage_metadata=self.usage, chunk_position="last"))

def model(name, **usage):
    return Told(model=name, usage={"total_tokens": 0, **usage})

cached = {"input_tokens": 1000, "output_tokens": 100, "input_token_details": {"cache_read": 400}}

@tool
def look_up(what: str) -> str:
    "Asks a model of its own, in a thread."
    return model("small", input_tokens=5, output_tokens=2).invoke(what).text

async def ask(state: MessagesState):
    answer = await model("large", **cached).ainvoke(state["messages"])
    await look_up.ainvoke({"what": "a room"})
    text = state["messages"][-1].text
    if text == "fail":
        raise LookupError("no such room, password=swordfish\\x00")
    while text == "hold" and not (HERE / "release-hold").exists():
        (HERE / "held").touch()
        await asyncio.sleep(0.02)
    return {"messages": [answer]}

inner = StateGraph(MessagesState).add_node(ask).add_edge(START, "ask").compile()
graph = StateGraph(MessagesState).add_node("inner", inner).add_edge(START, "inner")
"""

EXTRA = """
[prices.large]
input = 1.0
cached_input = 0.5
output = 10

[budget.per_caller]
tokens_per_day = 2000
"""


@pytest.fixture
async def agent(tmp_path: Path, database_url: str) -> AsyncIterator[Agent]:
    project = write_project(tmp_path / "project", SOURCE, extra=EXTRA)
    tokens = "ada=token-of-ada,ben=token-of-ben"
    async with running_agent(project, database_url, a2a_tokens=tokens, max_turns_per_caller=1) as agent:
        yield agent


async def get(agent: Agent, path: str) -> Any:
    answer = await agent.http.get(f"/api/v1/{path}")
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


async def command(database_url: str, *arguments: str) -> str:
    settings = {"AGENT_ID": "test-agent", "POSTGRES_DSN": database_url}
    result = await asyncio.to_thread(CliRunner().invoke, app, arguments, env=settings, obj=frozenset())
    assert result.exit_code == 0, result.output
    return result.stdout


async def stream(agent: Agent, text: str, token: str, **fields: Any) -> httpx.Response:
    body = {"message": text_message(text, **fields)}
    headers = {"A2A-Version": "1.0", "Authorization": f"Bearer {token}"}
    return await agent.http.post("/a2a/message:stream", json=body, headers=headers)


async def test_a_record_says_what_a_turn_used_and_why_it_failed(agent: Agent, database_url: str) -> None:
    await agent.send("go", token="token-of-ada", contextId="c1")
    await stream(agent, "fail", "token-of-ben", contextId="c2")
    failed, done = (await get(agent, "turns"))["turns"]
    assert (done["state"], done["caller"], done["model"]) == ("completed", "ada", "large,small")
    assert (done["input_tokens"], done["cached_tokens"], done["output_tokens"]) == (1005, 400, 102)
    assert (done["model_calls"], done["tool_calls"], done["cost"]) == (2, 1, 0.0018)
    task = await get(agent, f"turns/{failed['task_id']}")
    assert (task["failure"]["error"], task["earlier"]) == ("LookupError", [])
    assert task["failure"]["message"] == "no such room, password=***"
    assert task["failure"]["at"].endswith(" ask")
    assert task["failure"]["request_id"]
    first = await get(agent, "turns?limit=1")
    rest = await get(agent, f"turns?limit=1&cursor={first['next_cursor']}")
    assert [turn["task_id"] for turn in (*first["turns"], *rest["turns"])] == [failed["task_id"], done["task_id"]]
    by_model = await get(agent, "usage?by=model&since=2026-01-01")
    assert [(one["key"], one["input_tokens"], one["turns"]) for one in by_model["usage"]] == [
        ("large", 2000, 2),
        ("small", 10, 2),
    ]
    assert (by_model["total"]["turns"], by_model["total"]["failed"], by_model["total"]["cost"]) == (2, 1, 0.0036)
    metrics = (await agent.http.get("/metrics")).text
    assert 'agent_tokens_total{direction="cached",model="large"} 800.0' in metrics
    await agent.http.delete("/api/v1/memory/threads/c2")
    usage = json.loads(await command(database_url, "usage", "--by", "caller", "--json"))
    assert [(one["key"], one["turns"]) for one in usage["usage"]] == [("ada", 1)]
    assert " completed " in await command(database_url, "turns", "--since", "2026-01-01")


async def test_who_has_used_up_a_budget_is_refused_and_told_until_when(agent: Agent) -> None:
    for _ in range(2):
        await agent.send("go", token="token-of-ada")
    refused = await stream(agent, "go", "token-of-ada")
    assert refused.status_code == 429
    assert 0 < int(refused.headers["Retry-After"]) <= 86_400
    assert "your budget of 2000 tokens a day is used up" in refused.text
    await agent.send("go", token="token-of-ben")


async def test_one_caller_takes_no_more_than_a_share(agent: Agent) -> None:
    held = {"message": text_message("hold"), "configuration": {"returnImmediately": True}}
    await agent.rpc("SendMessage", held, token="token-of-ada")
    body = {"jsonrpc": "2.0", "id": 1, "method": "SendMessage", "params": {"message": text_message("go")}}
    headers = {"A2A-Version": "1.0", "Authorization": "Bearer token-of-ada"}
    refused = await agent.http.post("/", json=body, headers=headers)
    assert (refused.status_code, refused.headers["Retry-After"]) == (429, "1")
    run = {"assistant_id": "agent", "input": {"messages": [{"role": "user", "content": "go"}]}}
    same = await agent.http.post("/runs/wait", json=run, headers=headers)
    assert (same.status_code, same.headers["Retry-After"]) == (429, "1")
    await agent.send("go", token="token-of-ben")
    agent.release("hold")


async def test_what_a_cancelled_turn_has_used_is_kept(agent: Agent) -> None:
    held = {"message": text_message("hold"), "configuration": {"returnImmediately": True}}
    task = (await agent.rpc("SendMessage", held, token="token-of-ada"))["result"]["task"]
    while not (agent.directory / "held").exists():
        assert [turn["state"] for turn in (await get(agent, "turns?caller=ada"))["turns"]] == ["running"]
    await agent.rpc("CancelTask", {"id": task["id"]}, token="token-of-ada")

    async def record() -> Any:
        return await get(agent, f"turns/{task['id']}")

    while not (turn := await record())["input_tokens"]:
        assert turn["state"] == "cancelled"
    assert (turn["input_tokens"], turn["tool_calls"]) == (1005, 1)
