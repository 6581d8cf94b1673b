"""Conversations as LangGraph's own saver writes them, and the threads service over them."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import END, START, MessagesState, StateGraph

from agent_runtime.threads.service import Threads
from groundwork.postgres import Connection, Pool

Talk = Callable[..., Awaitable[None]]


@pytest.fixture
def forgotten() -> list[str]:
    """The threads that the service has told its process to forget."""
    return []


@pytest.fixture
def threads(pool: Pool, forgotten: list[str]) -> Threads:
    """The threads of the agent `mine`."""
    return Threads(pool, "mine", forget=forgotten.extend)


@pytest.fixture
def others(pool: Pool) -> Threads:
    """The threads of another agent, `theirs`."""
    return Threads(pool, "theirs", forget=lambda thread_ids: None)


@pytest.fixture
def talk(pool: Pool) -> Talk:
    """Runs a graph that repeats what it is told, with the stock saver: `await talk(thread_id, text, ...)`."""

    async def answer(state: MessagesState) -> dict[str, list[AIMessage]]:
        return {"messages": [AIMessage(f"You said {state['messages'][-1].text}")]}

    builder = StateGraph(MessagesState)
    builder.add_node("answer", answer)
    builder.add_edge(START, "answer")
    builder.add_edge("answer", END)

    async def talk(thread_id: str, *texts: str) -> None:
        graph = builder.compile(checkpointer=AsyncPostgresSaver(pool))
        for text in texts or ("hello",):
            await graph.ainvoke({"messages": [HumanMessage(text)]}, {"configurable": {"thread_id": thread_id}})

    return talk


@pytest.fixture
async def conn(pool: Pool) -> AsyncIterator[Connection]:
    async with pool.connection() as conn:
        yield conn
