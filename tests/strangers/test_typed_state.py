"""State with classes of its own: a later turn, and another replica, read what an earlier turn wrote."""

from tests.strangers.serving import Serve, answer, say, state_of

SHOP = """
import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Generic, NamedTuple, NotRequired, Optional, TypedDict, TypeVar
import operator

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Send, interrupt
from pydantic import BaseModel, SecretStr

class Size(enum.StrEnum):
    SMALL = "small"

class Rank(enum.IntEnum):
    FIRST = 1

class Item(BaseModel):
    name: str
    size: Size = Size.SMALL

@dataclass
class Cart:
    items: list[Item] = field(default_factory=list)
    rank: Rank = Rank.FIRST

class Point(NamedTuple):
    x: int
    y: int

class Deep(TypedDict):
    cart: Cart

T = TypeVar("T")

@dataclass
class Box(Generic[T]):
    content: T

class State(MessagesState):
    size: Size
    rank: Rank
    cart: Cart
    maybe: Optional[Item]
    either: int | Cart
    listed: Annotated[list[Item], operator.add]
    named: dict[str, Item]
    read: Sequence[Item]
    mapped: Mapping[str, Box[Item]]
    deep: NotRequired[Deep]
    point: Point
    pair: tuple[int, Item]
    secret: SecretStr

WHOLE = {
    "size": Size.SMALL, "rank": Rank.FIRST, "cart": Cart([Item(name="a")]), "maybe": Item(name="b"),
    "either": Cart(), "listed": [Item(name="c")], "named": {"d": Item(name="d")}, "read": [Item(name="e")],
    "mapped": {"f": Box(Item(name="f"))}, "deep": {"cart": Cart()}, "point": Point(1, 2),
    "pair": (1, Item(name="g")), "secret": SecretStr("hush"),
}

def fill(state: State):
    if "cart" not in state:
        return WHOLE
    kept = {name: state[name] for name in WHOLE}
    odd = [name for name in WHOLE if kept[name] != WHOLE[name] or type(kept[name]) is not type(WHOLE[name])]
    return {"messages": [AIMessage("changed: " + " ".join(odd))]}

graph = StateGraph(State)
graph.add_node(fill)
graph.add_edge(START, "fill")
"""

ASKS_IN_A_TASK = """
from dataclasses import dataclass

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Send, interrupt

@dataclass
class Item:
    name: str

class Inner(MessagesState):
    item: Item

def ask(state: Inner):
    interrupt("Really?")
    return {"item": Item(state["item"].name + "!")}

def tell(state: Inner):
    return {"messages": [AIMessage("sent " + state["item"].name)]}

inner = StateGraph(Inner)
inner.add_node(ask)
inner.add_node(tell)
inner.add_edge(START, "ask")
inner.add_edge("ask", "tell")
compiled = inner.compile()

async def work(item: Item):
    done = await compiled.ainvoke({"messages": [], "item": item})
    return {"messages": [AIMessage("sent " + done["item"].name)]}

graph = StateGraph(MessagesState)
graph.add_node(work)
graph.add_conditional_edges(START, lambda state: [Send("work", Item("pen"))], ["work"])
"""

# What a type variable of the state stands for, only `create_agent` knows.
FILLED = """
from dataclasses import dataclass

from langchain.agents import create_agent
from langchain.agents.middleware import AgentMiddleware
from langchain.agents.structured_output import ToolStrategy
from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage
from pydantic import BaseModel

class Place(BaseModel):
    city: str

class Weather(BaseModel):
    place: Place

@dataclass
class Nothing:
    why: str

class Model(FakeMessagesListChatModel):
    def bind_tools(self, tools, **more):
        return self

class Kept(AgentMiddleware):
    def after_agent(self, state, runtime):
        return {"messages": [AIMessage(" ".join(self.seen))]}

    def before_agent(self, state, runtime):
        filled = state.get("structured_response")
        self.seen = [type(value).__name__ for value in (filled, getattr(filled, "place", None))]

call = {"name": "Weather", "args": {"place": {"city": "Oslo"}}, "id": "1"}
model = Model(responses=[AIMessage("", tool_calls=[call])])
graph = create_agent(model, response_format=ToolStrategy(Weather | Nothing), middleware=[Kept()])
"""


async def test_what_the_schema_names_comes_back_as_it_was(serve: Serve) -> None:
    agent = await serve(SHOP)
    first = await say(agent, "fill it")
    second = await say(agent, "and now?", first["contextId"])
    assert second["artifacts"][0]["parts"][0]["text"] == "changed: "


async def test_what_is_sent_to_a_task_keeps_its_class_over_a_question(serve: Serve) -> None:
    agent = await serve(ASKS_IN_A_TASK)
    asked = await say(agent, "send it")
    assert state_of(asked) == "input-required"
    done = await answer(agent, asked, "yes")
    assert done["artifacts"][0]["parts"][0]["text"] == "sent pen!"


async def test_what_an_agent_was_made_to_fill_in_is_of_its_class_in_the_next_turn(serve: Serve) -> None:
    agent = await serve(FILLED)
    first = await say(agent, "how is it?")
    second = await say(agent, "and now?", first["contextId"])
    seen = [task["artifacts"][0]["parts"][0]["text"] for task in (first, second)]
    assert seen == ["NoneType NoneType", "Weather Place"]
