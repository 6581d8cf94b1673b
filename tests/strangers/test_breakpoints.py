"""Graphs compiled with static breakpoints stop there, say where, and go on with the next message of the task."""

import pytest

from tests.strangers.serving import STRICT_MODEL, Serve, answer, say, state_of, status_text

OWN = (
    STRICT_MODEL
    + """
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition

async def model(state: MessagesState):
    return {"messages": [await StrictModel().bind_tools([pay]).ainvoke(state["messages"])]}

builder = StateGraph(MessagesState)
builder.add_node(model)
builder.add_node("tools", ToolNode([pay]))
builder.add_edge(START, "model")
builder.add_conditional_edges("model", tools_condition)
builder.add_edge("tools", "model")
"""
)
NESTED = """
outer = StateGraph(MessagesState)
outer.add_node("payer", builder.compile(interrupt_before=["tools"]))
outer.add_edge(START, "payer")
graph = outer.compile()
"""
INVOKED = """
payer = builder.compile(interrupt_before=["tools"])
async def ask_payer(state: MessagesState):
    return await payer.ainvoke(state)
outer = StateGraph(MessagesState)
outer.add_node(ask_payer)
outer.add_edge(START, "ask_payer")
graph = outer.compile()
"""
CREATED = (
    STRICT_MODEL
    + """
from langchain.agents import create_agent
graph = create_agent(StrictModel(), [pay], interrupt_before=["tools"])
"""
)


@pytest.mark.parametrize(
    ("source", "stops"),
    [
        (OWN + 'graph = builder.compile(interrupt_before=["tools"])', ["tools"]),
        (OWN + 'graph = builder.compile(interrupt_after=["model"])', ["tools"]),
        (OWN + 'graph = builder.compile(interrupt_before=["model", "tools"])', ["model", "tools", "model"]),
        (OWN + 'graph = builder.compile(interrupt_before="*")', ["model", "tools", "model"]),
        (OWN + 'graph = builder.compile(interrupt_after="*")', ["tools", "model"]),
        (OWN + NESTED, ["payer/tools"]),
        (OWN + INVOKED, ["ask_payer/tools"]),
        (CREATED, ["tools"]),
    ],
)
async def test_the_task_waits_at_each_breakpoint_and_goes_on_with_the_next_message(
    serve: Serve, source: str, stops: list[str]
) -> None:
    agent = await serve(source)
    task = await say(agent, 'call pay {"amount": 5}')
    for number, stop in enumerate(stops):
        assert state_of(task) == "input-required"
        assert f"Stopped before {stop}." in status_text(task)
        assert agent.journal() == (["paid 5"] if any("tools" in stop for stop in stops[:number]) else [])
        task = await answer(agent, task, "go on")
    assert state_of(task) == "completed"
    assert agent.journal() == ["paid 5"]
    assert "paid 5" in str(task["artifacts"])


async def test_a_cancelled_stop_is_left_undone_and_the_conversation_goes_on(serve: Serve) -> None:
    agent = await serve(OWN + 'graph = builder.compile(interrupt_before=["tools"])')
    task = await say(agent, 'call pay {"amount": 5}')
    await agent.rpc("CancelTask", {"id": task["id"]})
    assert state_of(await say(agent, "hello", task["contextId"])) == "completed"
    assert agent.journal() == []


async def test_without_memory_a_breakpoint_fails_and_says_why(serve: Serve) -> None:
    agent = await serve(CREATED, memory_enabled=False)
    task = await say(agent, 'call pay {"amount": 5}')
    assert (state_of(task), agent.journal()) == ("failed", [])
    assert "MEMORY_ENABLED" in status_text(task)
