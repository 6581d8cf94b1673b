"""Graphs that ask: each answer reaches the question it was meant for, and nothing beside it is done twice."""

from tests.strangers.serving import Serve, answer, say, state_of, status_text

ASKS_IN_A_NODE = """
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

def book(state: MessagesState):
    return {"messages": [AIMessage("booked: " + interrupt("Which room?"))]}

graph = StateGraph(MessagesState)
graph.add_node(book)
graph.add_edge(START, "book")
"""


async def test_a_node_that_asks_goes_on_with_the_answer(serve: Serve) -> None:
    agent = await serve(ASKS_IN_A_NODE)
    task = await say(agent, "a room, please")
    assert (state_of(task), status_text(task)) == ("input-required", "Which room?")
    assert state_of(await answer(agent, task, "Turing")) == "completed"
