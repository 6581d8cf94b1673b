"""A registry in which something of everything is there, with markup in every text that others write."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.agents import Agent, running_agent, write_project
from tests.registry.agents.agents import run_agent
from tests.registry.engine.workflows import document
from tests.registry.executions.runs import REVIEW, paused, start, until
from tests.registry.registries import Served, running_registry

CANARY = "<script>alert(1)</script><b>\"'&{{ 1234*5678 }}"


SPOKEN = f"{CANARY}/x"
"""The id of a conversation."""

# Calls a tool in the words of the caller, asks, fails, or says what it has heard.
_GRAPH = """
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

class State(MessagesState):
    topic: str

async def answer(state: State):
    text = state["messages"][-1].text
    verb, _, rest = text.partition(" ")
    if verb == "fail":
        raise RuntimeError(rest)
    if verb == "ask":
        return {"messages": [AIMessage(f"heard {interrupt(rest)}")]}
    if verb == "look":
        call = {"name": rest, "args": {"words": rest}, "id": "1"}
        asks, told = AIMessage("", tool_calls=[call]), ToolMessage(rest, tool_call_id="1")
        return {"messages": [asks, told, AIMessage(rest)]}
    return {"topic": text, "messages": [AIMessage(text)]}

graph = StateGraph(State)
graph.add_node(answer)
graph.add_edge(START, "answer")
"""


@dataclass
class LivedIn(Served):
    execution_id: str = ""
    """Of one that waits for a decision."""
    agent: Agent = field(kw_only=True)
    """`helper`, which runs."""


@asynccontextmanager
async def living_in(dsn: str, agent_dsn: str, directory: Path) -> AsyncIterator[LivedIn]:
    async with running_registry(dsn, worker=True) as registry, _helper(registry, agent_dsn, directory) as agent:
        http = registry.http
        await run_agent(
            http, "canary", name=CANARY, description=CANARY, version=CANARY, skills=[CANARY], incarnation="one"
        )
        used = {"day": datetime.now(UTC).date().isoformat(), "turns": 5, "failed": 1}
        sign = {"incarnation": "one", "health": "failing", "reason": CANARY, "usage": [used]}
        (await http.post("/agents/canary/heartbeat", json=sign)).raise_for_status()
        for template in ("first", CANARY):
            await http.put("/components/prompt/canary", json={"template": template})
        use = {"kind": "prompt", "id": "canary", "status": "failed", "error": CANARY}
        await http.put("/agents/canary/components", json={"incarnation": "one", "refs": [use]})
        workflow = REVIEW | {"workflow_id": "canary", "name": CANARY, "description": CANARY}
        execution_id = await paused(http, workflow, text=CANARY)
        fails = document({"ask": {"type": "agent", "agent_ref": "nobody", "mode": "sync"}}, [])
        await until(http, await start(http, fails | {"workflow_id": "fails"}))
        job = {"name": CANARY, "cron_expression": "@daily", "workflow_id": "canary"}
        assert (await http.post("/cron", json=job)).status_code == 201
        await http.post("/tokens", json={"role": "viewer", "name": CANARY})
        await http.post("/tenants", json={"id": "acme", "name": CANARY})
        yield LivedIn(**vars(registry), execution_id=execution_id, agent=agent)


@asynccontextmanager
async def _helper(registry: Served, dsn: str, directory: Path) -> AsyncIterator[Agent]:
    """An agent with which somebody has spoken."""
    settings: dict[str, Any] = {"registry_url": registry.url, "registry_token": registry.token}
    async with running_agent(write_project(directory, _GRAPH), dsn, "helper", **settings) as agent:
        assert agent.runtime.registry is not None
        await agent.runtime.registry.reached(10)
        (await agent.http.patch("/api/v1/card/url", json={"url": agent.url})).raise_for_status()
        for text in (CANARY, f"look {CANARY}", f"ask {CANARY}"):
            await agent.send(text, contextId=SPOKEN)
        await agent.send(f"fail {CANARY}", contextId="failing")
        yield agent
