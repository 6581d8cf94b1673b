"""Questions from inside: of nested graphs, and of many branches at once."""

from tests.strangers.serving import Serve, answer, say, state_of, status_data, status_text

FANNED_OUT = """
import operator
from pathlib import Path
from typing import Annotated
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Send, interrupt
from typing_extensions import TypedDict

class Town(TypedDict):
    name: str

class Inner(TypedDict):
    name: str
    seen: Annotated[list[str], operator.add]

def visit(state: Inner):
    with (Path(__file__).parent / "journal").open("a") as journal:
        journal.write(state["name"] + "\\n")
    return {"seen": [state["name"]]}

def ask(state: Inner):
    first = interrupt({"question": "Stay?", "town": state["name"]})
    second = interrupt(f"How long in {state['name']}?") if first == "yes" else "not at all"
    return {"seen": [f"{state['name']}: {second}"]}

inner = StateGraph(Inner)
inner.add_sequence([visit, ask])
inner.add_edge(START, "visit")
trip = inner.compile()

def travel(state: Town):
    return {"messages": [AIMessage(trip.invoke({"name": state["name"], "seen": []})["seen"][-1])]}

def towns(state: MessagesState):
    return [Send("travel", {"name": name}) for name in state["messages"][-1].text.split()]

def done(state: MessagesState):
    return {"messages": [AIMessage("; ".join(message.text for message in state["messages"][1:]))]}

graph = StateGraph(MessagesState)
graph.add_node(travel)
graph.add_node(done)
graph.add_conditional_edges(START, towns, ["travel"])
graph.add_edge("travel", "done")
"""


async def test_each_branch_asks_for_itself_and_goes_on_from_its_own_question(serve: Serve) -> None:
    agent = await serve(FANNED_OUT)
    task = await say(agent, "Rome Oslo Bonn")
    assert "question: Stay?\ntown: Rome" in status_text(task)
    asked = status_data(task)[0]["questions"]
    by_town = {question["question"]["town"]: question["id"] for question in asked}
    task = await answer(agent, task, data={by_town["Oslo"]: "no", by_town["Bonn"]: "yes"})
    # Rome was not answered and is still asked; Bonn has come to its second question.
    assert "town: Rome" in status_text(task)
    assert "How long in Bonn?" in status_text(task)
    task = await answer(agent, task, data=["no", "a week"])
    assert state_of(task) == "completed"
    assert task["artifacts"][-1]["parts"][-1]["text"] == "Rome: not at all; Oslo: not at all; Bonn: a week"
    assert sorted(agent.journal()) == ["Bonn", "Oslo", "Rome"]
