"""Graphs that ask: each answer reaches the question it was meant for, and nothing beside it is done twice."""

from pathlib import Path
from typing import Any

import pytest

from tests.agents import Agent
from tests.strangers.serving import Serve, answer, said, say, state_of, status_data, status_text

# One task for each call, as the scaffold's template and LangChain's `create_agent` have it.
CALLS = """
import asyncio
from pathlib import Path

from agent_runtime.graph import Conversation, TurnContext, TurnRejected, send_artifact
from langchain_core.tools import tool
from langgraph.graph import END, START, StateGraph
from langgraph.prebuilt import ToolNode
from langgraph.runtime import Runtime
from langgraph.types import Send, interrupt

def note(line):
    with (Path(__file__).parent / "journal").open("a") as journal:
        journal.write(line + "\\n")

@tool
async def pay(amount: int) -> str:
    "Pay."
    note(f"paid {amount}")
    return f"paid {amount}"

@tool
async def report() -> str:
    "Send a report."
    note("reported")
    send_artifact("report", "all is well")
    return "sent"

@tool
async def book(room: str) -> str:
    "Book a room."
    await asyncio.sleep(0.01)
    agreed = interrupt(f"Book {room}?")
    note(f"{room} {agreed}")
    return f"{room}: {agreed}"

@tool
def refuse(reason: str) -> str:
    "Refuse."
    raise TurnRejected(reason)

TOOLS = ToolNode([pay, report, book, refuse], handle_tool_errors=True)

async def answer(state: Conversation, runtime: Runtime[TurnContext]):
    model = runtime.context.model.bind_tools([pay, report, book, refuse])
    return {"messages": [await model.ainvoke(state["messages"])]}

def calls(state: Conversation):
    return [Send("tools", [call]) for call in state["messages"][-1].tool_calls] or END

graph = StateGraph(Conversation, context_schema=TurnContext)
graph.add_node(answer)
graph.add_node("tools", TOOLS)
graph.add_edge(START, "answer")
graph.add_conditional_edges("answer", calls, ["tools", END])
graph.add_edge("tools", "answer")
"""

THREE_CALLS = (
    'call pay {"amount": 5}\ncall report {}\ncall book {"room": "Turing"}\ncall book {"room": "Lovelace"}'
)

ASKS = """
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

def ask(state: MessagesState):
    return {{"messages": [AIMessage(f"heard {{interrupt({question!r})!r}}")]}}

graph = StateGraph(MessagesState)
graph.add_node(ask)
graph.add_edge(START, "ask")
"""


def journal(agent: Agent) -> list[str]:
    return sorted(agent.journal())


@pytest.mark.parametrize("durability", ["async", "exit"])
async def test_each_answer_reaches_the_call_that_asked_and_every_call_is_made_once(
    serve: Serve, durability: str
) -> None:
    agent = await serve(CALLS, checkpoint_durability=durability)
    task = await say(agent, THREE_CALLS)
    assert "Book Turing?" in status_text(task)
    assert "Book Lovelace?" in status_text(task)
    task = await answer(agent, task, "yes")
    assert status_text(task) == "Book Lovelace?"
    task = await answer(agent, task, "no")
    assert state_of(task) == "completed"
    assert journal(agent) == ["Lovelace no", "Turing yes", "paid 5", "reported"]
    assert [artifact["name"] for artifact in task["artifacts"]].count("report") == 1


async def test_one_answer_can_answer_several_questions(serve: Serve) -> None:
    agent = await serve(CALLS)
    for number in range(3):
        task = await say(agent, THREE_CALLS)
        ids = [question["id"] for question in status_data(task)[0]["questions"]]
        by_id = dict(zip(ids, ["yes", "no"], strict=True))
        data = (["yes", "no"], by_id, {"resume": by_id})[number]
        assert state_of(await answer(agent, task, data=data)) == "completed"
        assert journal(agent) == sorted(["Lovelace no", "Turing yes", "paid 5", "reported"] * (number + 1))


async def test_an_answer_that_fits_no_question_leaves_all_of_them_open(serve: Serve) -> None:
    agent = await serve(CALLS)
    task = await say(agent, THREE_CALLS)
    for data in (["yes"], {"0" * 32: "yes"}):
        task = await answer(agent, task, data=data)
        assert state_of(task) == "input-required"
        assert "open" in status_text(task)
        assert "Book Turing?" in status_text(task)
    assert journal(agent) == ["paid 5", "reported"]


async def test_a_structured_question_has_a_text_beside_its_data(serve: Serve) -> None:
    question = {"question": "Book it?", "room": {"name": "Turing"}}
    agent = await serve(ASKS.format(question=question))
    task = await say(agent, "go")
    assert (status_text(task), status_data(task)) == ("question: Book it?\nroom: name: Turing", [question])
    assert said(await answer(agent, task, data={"resume": ["a", 1]})) == "heard ['a', 1]"


async def test_a_tool_that_rejects_the_message_rejects_it_though_errors_of_tools_are_handled(serve: Serve) -> None:
    agent = await serve(CALLS)
    task = await say(agent, 'call refuse {"reason": "not on Sundays"}')
    assert (state_of(task), status_text(task)) == ("rejected", "not on Sundays")


@pytest.mark.parametrize("settings", [{"memory_enabled": False}, {"agent_id": None}])
async def test_an_agent_that_keeps_nothing_fails_where_it_would_have_to_wait(
    serve: Serve, settings: dict[str, Any]
) -> None:
    agent = await serve(CALLS, **settings)
    task = await say(agent, 'call book {"room": "Turing"}')
    assert state_of(task) == "failed"
    assert "MEMORY_ENABLED" in status_text(task)
    assert not Path(agent.directory / "journal").exists()
