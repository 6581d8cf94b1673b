"""However a turn with tool calls ends, the model is never given a call without a result."""

import random

import pytest

from tests.strangers.serving import STRICT_MODEL, Serve, answer, say, state_of

TOOLS = """
from langchain_core.tools import ToolException
from langgraph.types import Send, interrupt

@tool
def ask(what: str) -> str:
    "Ask a person."
    return interrupt(what)["answer"]

tools = [pay, fail, ask]
"""
GRAPH = """
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
from agent_runtime.graph import Conversation

async def model(state: {state}):
    return {{"messages": [await StrictModel().bind_tools(tools).ainvoke(state["messages"])]}}

def calls(state: {state}):
    return [Send("tools", [call]) for call in state["messages"][-1].tool_calls] or END

graph = StateGraph({state})
graph.add_node(model)
graph.add_node("tools", ToolNode(tools, handle_tool_errors=False))
graph.add_edge(START, "model")
graph.add_conditional_edges("model", calls, ["tools", END])
graph.add_edge("tools", "model")
"""
CREATED = "from langchain.agents import create_agent\ngraph = create_agent(StrictModel(), tools)\n"

MESSAGES = [
    'call pay {"amount": 1}\ncall ask {"what": "really?"}',
    'call fail {}\ncall ask {"what": "really?"}\ncall pay {"amount": 2}',
    'call ask {"what": "a?"}\ncall ask {"what": "b?"}',
    "call fail {}",
    "hello",
]


@pytest.mark.parametrize(
    "graph", [GRAPH.format(state="MessagesState"), GRAPH.format(state="Conversation"), CREATED]
)
async def test_a_conversation_goes_on_whatever_became_of_its_tool_calls(serve: Serve, graph: str) -> None:
    agent = await serve(STRICT_MODEL + TOOLS + graph)
    chance = random.Random(16)
    for _ in range(6):
        task = await say(agent, chance.choice(MESSAGES), "one")
        while state_of(task) == "input-required":
            ending = chance.choice(["answer", "wrong form", "cancel"])
            if ending == "cancel":
                task = (await agent.rpc("CancelTask", {"id": task["id"]}))["result"]
            else:
                task = await answer(agent, task, data={"answer": "yes"} if ending == "answer" else "yes")
        assert state_of(await say(agent, "hello", "one")) == "completed"


async def test_what_a_call_has_done_before_the_turn_failed_is_told_to_the_model(serve: Serve) -> None:
    agent = await serve(STRICT_MODEL + TOOLS + GRAPH.format(state="Conversation"))
    task = await say(agent, 'call pay {"amount": 5}\ncall ask {"what": "really?"}', "one")
    await agent.rpc("CancelTask", {"id": task["id"]})
    await say(agent, "hello", "one")
    paid, asked = [m["content"] for m in await agent.messages("one") if m["role"] == "tool"]
    assert paid == "paid 5"
    assert asked.startswith("No result")
