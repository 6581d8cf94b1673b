"""The graph of the agents on bad days: does what a message asks for, then says that it has heard it."""

import asyncio

from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.tools import ToolException
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.runtime import Runtime

from agent_runtime.graph import TurnContext

_PATIENCE_SECONDS = 3.0


async def work(state: MessagesState, runtime: Runtime[TurnContext]) -> dict[str, list[AIMessage]]:
    """A message is a number, a verb and what the verb needs."""
    _, verb, *rest = state["messages"][-1].text.split(" ")
    if verb == "sleep":
        await asyncio.sleep(float(rest[0]))
    elif verb == "count":
        await runtime.context.model.ainvoke([HumanMessage(f"count to {rest[0]}")])
    elif verb == "add":
        await use(runtime.context, "tools_add", {"a": 2, "b": 3})
    elif verb == "ask":
        await use(runtime.context, "ask_steady", {"message": "1 say"})
    return {}


async def use(turn: TurnContext, name: str, arguments: dict[str, object]) -> None:
    """Whatever becomes of the call: a tool that is not there, fails or says nothing is the turn's bad luck."""
    tool = next((tool for tool in turn.tools if tool.name == name), None)
    if tool is None:
        return
    try:
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await tool.ainvoke(arguments)
    except (TimeoutError, ToolException):
        return


async def answer(state: MessagesState) -> dict[str, list[AIMessage]]:
    number = state["messages"][-1].text.split(" ")[0]
    return {"messages": [AIMessage(f"heard {number}")]}


graph = StateGraph(MessagesState, context_schema=TurnContext)
graph.add_node("work", work)
graph.add_node("answer", answer)
graph.add_edge(START, "work")
graph.add_edge("work", "answer")
