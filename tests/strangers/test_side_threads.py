"""Graphs that call graphs under thread ids of their own: what they leave belongs to the conversation."""

from groundwork.postgres.pool import Pool
from tests.strangers.serving import Serve, say

CALLS_A_GRAPH = """
from typing import TypedDict
from langchain_core.messages import AIMessage
from langchain_core.runnables import RunnableConfig
from langgraph.graph import START, MessagesState, StateGraph

class Count(TypedDict):
    said: str
    number: int

def count(state: Count):
    return {"number": state.get("number", 0) + 1}

builder = StateGraph(Count)
builder.add_node(count)
builder.add_edge(START, "count")
counter = builder.compile()

async def call(state: MessagesState, config: RunnableConfig):
    side = {"configurable": {**config["configurable"], "thread_id": "side", "checkpoint_ns": ""}}
    other = {"configurable": {"thread_id": "a|b:c%"}}
    numbers = [(await counter.ainvoke({"said": "x"}, other))["number"]]
    numbers.append((await counter.ainvoke({"said": "x"}, side))["number"])
    numbers.append((await counter.aget_state(side)).values["number"])
    numbers.append(len([found async for found in counter.aget_state_history(side)]))
    await counter.aupdate_state(side, {"number": 10})
    numbers.append((await counter.aget_state(side)).values["number"])
    return {"messages": [AIMessage(" ".join(map(str, numbers)))]}

graph = StateGraph(MessagesState)
graph.add_node(call)
graph.add_edge(START, "call")
"""


async def stored_threads(pool: Pool) -> set[str]:
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT thread_id FROM checkpoints UNION SELECT thread_id FROM checkpoint_blobs"
            " UNION SELECT thread_id FROM checkpoint_writes"
        )
        return {row["thread_id"] for row in await cursor.fetchall()}


async def test_a_side_thread_is_kept_in_the_conversation_and_goes_with_it(serve: Serve, pool: Pool) -> None:
    agent = await serve(CALLS_A_GRAPH)
    first = await say(agent, "count", "one")
    assert first["artifacts"][0]["parts"][0]["text"] == "1 1 1 3 10"
    assert await stored_threads(pool) == {"one"}
    # Another conversation has a side thread of its own, whatever its name.
    other = await say(agent, "count", "two")
    assert other["artifacts"][0]["parts"][0]["text"] == "1 1 1 3 10"
    second = await say(agent, "count", "one")
    assert second["artifacts"][0]["parts"][0]["text"] == "1 1 1 7 10"
    for thread in ("one", "two"):
        assert (await agent.http.delete(f"/api/v1/memory/threads/{thread}")).status_code == 200
    assert await stored_threads(pool) == set()
