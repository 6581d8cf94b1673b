"""The agent: a conversation with tools. Ordinary LangGraph code; `agent.toml` names `graph`."""

from datetime import UTC, datetime
from typing import Any

from agent_runtime.graph import TurnContext
from langchain_core.messages import ToolCall
from langchain_core.tools import tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.runtime import Runtime
from langgraph.types import Send


@tool
def add(a: float, b: float) -> float:
    """Add two numbers."""
    return a + b


@tool
def current_time() -> str:
    """Tell the current date and time, in UTC."""
    return datetime.now(UTC).isoformat(timespec="seconds")


TOOLS = [add, current_time]


async def answer(state: MessagesState, runtime: Runtime[TurnContext]) -> dict[str, Any]:
    turn = runtime.context
    # The model of agent.toml, with the tools above and those of the MCP servers and agents named there.
    model = turn.model.bind_tools([*TOOLS, *turn.tools])
    # The system prompt, the long-term summary if there is one, and the last MEMORY_WINDOW_SIZE messages.
    prompt = turn.prompt(turn.prompts["system"], state["messages"])
    return {"messages": [await model.ainvoke(prompt)]}


def next_step(state: MessagesState) -> list[Send] | str:
    # A task for each call: one that asks a person runs again with the answer, and the others do not.
    return [Send("tools", [call]) for call in state["messages"][-1].tool_calls] or END


async def call_tool(calls: list[ToolCall], runtime: Runtime[TurnContext]) -> dict[str, Any]:
    tools = ToolNode([*TOOLS, *runtime.context.tools], handle_tool_errors=tell_the_model)
    return await tools.ainvoke(calls)


def tell_the_model(error: Exception) -> str:
    # A tool that fails does not end the turn: the model reads why, and goes on from there. A question
    # (`interrupt`) and `TurnRejected` are no errors, and do not come here.
    return str(error)


# Left uncompiled: the runtime compiles it with the checkpointer that keeps every conversation.
graph = StateGraph(MessagesState, context_schema=TurnContext)
graph.add_node("answer", answer)
graph.add_node("tools", call_tool)
graph.add_edge(START, "answer")
graph.add_conditional_edges("answer", next_step, ["tools", END])
graph.add_edge("tools", "answer")
