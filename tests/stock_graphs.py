"""Conversations of programs that run LangGraph by themselves, with its own saver and nothing of ours."""

from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, MessagesState, StateGraph

from groundwork.postgres.pool import Pool


async def _answer(state: MessagesState) -> dict[str, list[AIMessage]]:
    return {"messages": [AIMessage(f"You said {state['messages'][-1].text}")]}


_builder = StateGraph(MessagesState)
_builder.add_node("answer", _answer)
_builder.add_edge(START, "answer")
_builder.add_edge("answer", END)


async def say(pool: Pool, thread_id: str, text: str) -> None:
    """A turn of the thread, answered with `You said ...`."""
    graph = _builder.compile(checkpointer=AsyncPostgresSaver(pool))
    await graph.ainvoke({"messages": [HumanMessage(text)]}, {"configurable": {"thread_id": thread_id}})
