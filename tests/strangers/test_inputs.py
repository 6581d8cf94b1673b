"""What goes into a graph: data parts fill the fields of its input by name, and the text has its place."""

from typing import Any

import pytest

from tests.agents import Agent
from tests.strangers.serving import Serve, state_of, status_text

ORDER = """
from typing import Annotated, NotRequired, TypedDict
import operator
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel

class Item(BaseModel):
    name: str
    price: float = 1

class Order(TypedDict):
    order_id: int
    items: NotRequired[list[Item]]

class State(MessagesState):
    order_id: int
    items: Annotated[list[Item], operator.add]
    total: float

class Input(Order):
    messages: list

def price(state: State):
    total = sum(item.price for item in state["items"])
    said = state["messages"][-1].text
    return {"total": total, "messages": [AIMessage(f"{state['order_id']}: {total} for {said}")]}

graph = StateGraph(State, input_schema=Input)
graph.add_node(price)
graph.add_edge(START, "price")
"""

JOKE = """
from dataclasses import dataclass
from langgraph.graph import START, StateGraph
from agent_runtime.graph import send_artifact

@dataclass
class State:
    topic: str
    mood: str = "dry"
    times: int = 1
    joke: str | None = None

@dataclass
class Input:
    topic: str
    times: int = 1

def tell(state: State):
    send_artifact("joke", f"{state.topic} x {state.times}")
    return {"joke": state.topic}

graph = StateGraph(State, input_schema=Input)
graph.add_node(tell)
graph.add_edge(START, "tell")
"""

OPEN = """
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

class State(MessagesState):
    city: str
    weather: str

def tell(state: State):
    return {"messages": [AIMessage("it rains in " + state["city"])]}

graph = StateGraph(State)
graph.add_node(tell)
graph.add_edge(START, "tell")
"""


async def send(agent: Agent, *parts: dict[str, Any], **message: Any) -> dict[str, Any]:
    sent = {"messageId": "1", "role": "ROLE_USER", "parts": list(parts), **message}
    return await agent.rpc("SendMessage", {"message": sent})


def text_of(answer: dict[str, Any]) -> str:
    text: str = answer["result"]["task"]["artifacts"][0]["parts"][0]["text"]
    return text


async def test_data_parts_fill_the_input_by_name_and_the_text_is_the_message(serve: Serve) -> None:
    agent = await serve(ORDER)
    data = {"order_id": 7, "items": [{"name": "pen", "price": 2}]}
    first = await send(agent, {"text": "me"}, {"data": data})
    assert text_of(first) == "7: 2.0 for me"
    # What the conversation has already need not be given again.
    context = first["result"]["task"]["contextId"]
    again = await send(agent, {"text": "you"}, {"data": {"items": [{"name": "ink"}]}}, contextId=context)
    assert text_of(again) == "7: 3.0 for you"


@pytest.mark.parametrize(
    ("source", "parts", "said"),
    [
        (ORDER, [{"text": "me"}], "needs 'order_id' in a data part; it takes messages, order_id (int)"),
        (ORDER, [{"data": {"order_id": "seven"}}], "order_id: Input should be a valid integer"),
        (ORDER, [{"data": {"order_id": 7, "items": [{}]}}], "items.0.name: Field required"),
        (JOKE, [{"data": {"topic": "cats", "color": 1}}], "does not take 'color', only topic (str), times (int)"),
        (JOKE, [{"text": "cats"}, {"raw": "AAAA"}], "takes no files"),
        (JOKE, [{"data": {"topic": "cats"}}, {"text": "dogs"}], "the text has no place"),
        (JOKE, [{"data": {"times": 2}}], "needs 'topic'"),
    ],
)
async def test_what_does_not_fit_is_refused_by_name_before_anything_ran(
    serve: Serve, source: str, parts: list[dict[str, Any]], said: str
) -> None:
    agent = await serve(source)
    error = (await send(agent, *parts))["error"]
    assert error["code"] == -32602
    assert said in error["message"]
    listed = await agent.rpc("ListTasks", {})
    assert listed["result"]["totalSize"] == 0


async def test_a_context_that_lacks_a_field_is_told_so(serve: Serve) -> None:
    agent = await serve(ORDER)
    task = (await send(agent, {"text": "me"}, contextId="a-new-one"))["result"]["task"]
    assert state_of(task) == "rejected"
    assert "needs 'order_id'" in status_text(task)


async def test_a_graph_without_messages_gets_the_text_in_its_text_field(serve: Serve) -> None:
    agent = await serve(JOKE)
    assert text_of(await send(agent, {"text": "cats"}, {"data": {"times": 2}})) == "cats x 2"
    card = (await agent.http.get("/.well-known/agent-card.json")).json()
    assert card["defaultInputModes"] == ["text/plain", "application/json"]


async def test_a_state_that_is_its_own_input_demands_nothing_and_says_what_was_missing(serve: Serve) -> None:
    agent = await serve(OPEN)
    assert text_of(await send(agent, {"text": "?"}, {"data": {"city": "Bonn"}})) == "it rains in Bonn"
    failed = (await send(agent, {"text": "?"}))["result"]["task"]
    assert "needs 'city', which no message has given" in status_text(failed)
