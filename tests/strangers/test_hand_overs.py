"""Agents that hand a conversation over to each other, under a supervisor and in a swarm."""

import pytest

from tests.strangers.serving import Serve, answer, said, say, state_of, status_text

HAND_OVERS = """
from pathlib import Path
from typing import Annotated

from agent_runtime.graph import OfflineChatModel
from langchain.agents import create_agent
from langchain_core.messages import AIMessage, ToolMessage
from langchain_core.tools import InjectedToolCallId, tool
from langgraph.graph import END, START, MessagesState, StateGraph
from langgraph.prebuilt import InjectedState
from langgraph.types import Command, interrupt

def note(line):
    with (Path(__file__).parent / "journal").open("a") as journal:
        journal.write(line + "\\n")

class Named(OfflineChatModel):
    name: str
    def _answer(self, messages, bound):
        if isinstance(messages[-1], ToolMessage):
            return AIMessage(f"{self.name} heard {messages[-1].text}")
        if not messages[-1].text.startswith("call "):
            return AIMessage(f"{self.name} here")
        return super()._answer(messages, bound)

def hand_over_to(name):
    @tool(f"to_{name}")
    def hand_over(
        state: Annotated[dict, InjectedState], tool_call_id: Annotated[str, InjectedToolCallId]
    ) -> Command:
        "Hand over."
        note(f"to {name}")
        told = ToolMessage(f"over to {name}", tool_call_id=tool_call_id)
        update = {"messages": [*state["messages"], told], "active": name}
        return Command(goto=name, graph=Command.PARENT, update=update)
    return hand_over

@tool
def book(room: str) -> str:
    "Book a room."
    agreed = interrupt(f"Book {room}?")
    note(f"{room} {agreed}")
    return f"{room} {agreed}"

class State(MessagesState):
    active: str

def agent(name, *tools):
    return create_agent(Named(name=name), list(tools), name=name)
"""

SWARM = (
    HAND_OVERS
    + """
graph = StateGraph(State)
graph.add_node("alice", agent("alice", hand_over_to("bob")), destinations=("bob",))
graph.add_node("bob", agent("bob", hand_over_to("alice"), book), destinations=("alice",))
graph.add_conditional_edges(START, lambda state: state.get("active") or "alice", ["alice", "bob"])
"""
)

SUPERVISOR = (
    HAND_OVERS
    + """
graph = StateGraph(State)
graph.add_node("supervisor", agent("supervisor", hand_over_to("worker")), destinations=("worker", END))
graph.add_node("worker", agent("worker", book))
graph.add_edge(START, "supervisor")
graph.add_edge("worker", "supervisor")
"""
)


async def test_whom_a_swarm_has_handed_a_conversation_to_goes_on_with_it(serve: Serve) -> None:
    agent = await serve(SWARM)
    task = await say(agent, "hello")
    thread = task["contextId"]
    assert said(task) == "alice here"
    assert said(await say(agent, "call to_bob {}", thread)) == "bob heard over to bob"
    assert said(await say(agent, "and now?", thread)) == "bob here"
    assert said(await say(agent, "call to_alice {}", thread)) == "alice heard over to alice"
    assert said(await say(agent, "hello")) == "alice here"
    assert agent.journal() == ["to bob", "to alice"]


async def test_a_supervisor_has_the_last_word_after_its_worker(serve: Serve) -> None:
    agent = await serve(SUPERVISOR)
    task = await say(agent, "call to_worker {}")
    assert (state_of(task), said(task)) == ("completed", "supervisor here")
    assert agent.journal() == ["to worker"]


@pytest.mark.parametrize("durability", ["async", "exit"])
async def test_an_agent_that_was_handed_over_to_asks_and_nobody_is_asked_or_called_twice(
    serve: Serve, durability: str
) -> None:
    agent = await serve(SWARM, checkpoint_durability=durability)
    thread = (await say(agent, "call to_bob {}"))["contextId"]
    task = await say(agent, 'call book {"room": "Turing"}', thread)
    assert (state_of(task), status_text(task)) == ("input-required", "Book Turing?")
    task = await answer(agent, task, "yes")
    assert (state_of(task), said(task)) == ("completed", "bob heard Turing yes")
    assert agent.journal() == ["to bob", "Turing yes"]
