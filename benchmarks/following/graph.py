"""Answers with what the turn works with, when it begins and after a moment: no two of it may differ."""

import asyncio
import json

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime

from agent_runtime.graph import TurnContext

PAUSE_SECONDS = 0.02


async def show(state: MessagesState, runtime: Runtime[TurnContext]) -> dict[str, list[AIMessage]]:
    before = seen(runtime.context)
    await asyncio.sleep(PAUSE_SECONDS)
    return {"messages": [AIMessage(json.dumps([before, seen(runtime.context)]))]}


def seen(turn: TurnContext) -> dict[str, str]:
    """The number that each of the components of this turn was given."""
    tools = {tool.name: tool for tool in turn.tools}
    return {
        "prompt": turn.prompts["system"],
        "model": str(getattr(turn.model, "introduction", "")),
        "tools": tools["tools_number"].description if "tools_number" in tools else "",
    }


graph = StateGraph(MessagesState, context_schema=TurnContext)
graph.add_node(show)
graph.add_edge(START, "show")
