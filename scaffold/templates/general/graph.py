"""The agent: a conversation with tools. Ordinary LangGraph code; `agent.toml` names `graph`."""

from datetime import UTC, datetime
from typing import Any

from agent_runtime.graph import Conversation, TurnContext
from langchain_core.tools import tool
from langgraph.graph import START, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.runtime import Runtime

@tool
def add(a: float, b: float) -> float:
    """Add two numbers."""
    return a + b


@tool
def current_time() -> str:
    """Tell the current date and time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


TOOLS = [add, current_time]


async def answer(state: Conversation, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    turn = runtime.context
    # The model of agent.toml, with the tools above and those of the MCP servers and agents named there.
    model = turn.model.bind_tools([*TOOLS, *turn.tools])
    # The system prompt, the long-term summary if there is one, and the last MEMORY_WINDOW_SIZE messages.
    prompt = turn.prompt(turn.prompts["system"], state["messages"])
    return {"messages": [await model.ainvoke(prompt)]}


async def call_tools(state: Conversation, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    tools = ToolNode([*TOOLS, *runtime.context.tools], handle_tool_errors=tell_the_model)
    return await tools.ainvoke(state)


def tell_the_model(error: Exception) -> str:
    # A tool that fails does not end the turn: the model reads why, and goes on from there.
    return str(error)


# Left uncompiled: the runtime compiles it with the checkpointer that keeps every conversation.
graph = StateGraph(Conversation, context_schema=TurnContext)
graph.add_node("answer", answer)
graph.add_node("tools", call_tools)
graph.add_edge(START, "answer")
graph.add_conditional_edges("answer", tools_condition)
graph.add_edge("tools", "answer")
