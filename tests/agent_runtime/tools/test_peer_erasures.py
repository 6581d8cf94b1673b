"""Peers that were asked in a thread are named when it is erased, and erase what they have of it where they can."""

import asyncio
from pathlib import Path

from tests.agents import SCRIPTED, running_agent, write_project

ASKS = """
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime
from agent_runtime.graph import TurnContext

async def answer(state: MessagesState, runtime: Runtime[TurnContext]):
    (ask,) = runtime.context.tools
    return {"messages": [AIMessage(await ask.ainvoke({"message": state["messages"][-1].text}))]}

graph = StateGraph(MessagesState, context_schema=TurnContext)
graph.add_node(answer)
graph.add_edge(START, "answer")
"""
THREADS = "/api/v1/memory/threads"


async def test_an_erasure_names_the_peers_and_ends_what_they_have_of_it(tmp_path: Path, database_url: str) -> None:
    async with running_agent(write_project(tmp_path / "peer", SCRIPTED), database_url, "peer") as peer:
        await peer.http.patch("/api/v1/card/url", json={"url": peer.url})
        project = write_project(tmp_path / "asking", ASKS, extra=f'\n[a2a.helper]\nurl = "{peer.url}"\n')
        async with running_agent(project, database_url, "asking") as agent:
            async with asyncio.timeout(20):
                while not (await agent.http.get("/api/v1/status")).json()["data"]["a2a"]["helper"]["connected"]:
                    await asyncio.sleep(0.05)
            assert "done" in await agent.ask("say done", "ended")
            assert "sugar?" in await agent.ask("ask sugar?", "waits")
            counted = (await agent.http.delete(f"{THREADS}/waits?dry_run=true")).json()["data"]
            erased = (await agent.http.delete(f"{THREADS}?all=true")).json()["data"]
            assert counted["peers"] == erased["peers"] == ["helper"]
            rows = [each["also_deleted"]["agent_peer_tasks"] for each in (counted, erased)]
            assert rows == [3, 5]
            async with asyncio.timeout(20):
                while (await peer.http.get(THREADS)).json()["data"]["threads"]:
                    await asyncio.sleep(0.05)
