"""An agent that shows what it works with, and the registry that it takes it from."""

from dataclasses import dataclass
from typing import Any

from tests.agents import Agent
from tests.registry.registries import Served

SHOWING = """
import asyncio
from pathlib import Path

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from agent_runtime.graph import TurnContext

HERE = Path(__file__).parent

async def show(state: MessagesState, runtime: Runtime[TurnContext]):
    turn, text = runtime.context, state["messages"][-1].text
    before = seen(turn)
    if text.startswith("hold "):
        (HERE / "holding").touch()
        while not (HERE / f"release-{text[5:]}").exists():
            await asyncio.sleep(0.02)
    elif text.startswith("add "):
        add = next(tool for tool in turn.tools if tool.name == "tools_add")
        return {"messages": [AIMessage(str(await add.ainvoke({"a": 2, "b": 3})))]}
    assert seen(turn) == before
    return {"messages": [AIMessage(before)]}

def seen(turn):
    names = sorted(tool.name for tool in turn.tools)
    return f"{turn.prompts.get('system')}|{turn.model.introduction}|{','.join(names)}"

graph = StateGraph(MessagesState, context_schema=TurnContext)
graph.add_node(show)
graph.add_edge(START, "show")
"""

TAKEN = """
[model]
component = "model"

[prompts.system]
component = "system"
template = "local"
"""


@dataclass(frozen=True)
class Seen:
    """What a turn has worked with."""

    prompt: str
    model: str
    tools: list[str]


async def see(agent: Agent, text: str = "show", context: str | None = None) -> Seen:
    prompt, model, tools = (await agent.ask(text, context)).split("|")
    return Seen(prompt, model, tools.split(",") if tools else [])


async def put(registry: Served, kind: str, component_id: str, **content: Any) -> int:
    """Puts a component, and returns its version."""
    answer = await registry.http.put(f"/components/{kind}/{component_id}", json=content)
    assert answer.is_success, answer.text
    return int(answer.json()["version"])


async def reload(agent: Agent) -> dict[str, Any]:
    answer = await agent.http.post("/api/v1/registry/reload")
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


async def metadata(agent: Agent) -> dict[str, Any]:
    data: dict[str, Any] = (await agent.http.get("/api/v1/registry/metadata")).json()["data"]
    return data


def ids(refs: list[dict[str, Any]]) -> list[str]:
    return [f"{ref['kind']}/{ref['id']}" for ref in refs]
