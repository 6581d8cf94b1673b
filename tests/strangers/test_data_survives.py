"""Whatever a state may hold by its schema is the same after a checkpoint, a kill -9 and a resume elsewhere."""

import asyncio
import pickle
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.agent_runtime.turns.test_crash import outcome, send_and_go
from tests.agents import write_project
from tests.processes import agent_process
from tests.strangers.serving import Serve, say, state_of, status_text
from tests.strangers.shapes import Cart, Color, Item, Level, Point, Word

# A channel for each value: LangGraph keeps those that are texts and numbers elsewhere than the others.
KEEPS = """
import os
import pickle
import signal
from pathlib import Path
from typing import Any, TypedDict

from langchain_core.messages import AIMessage, AnyMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Send
from tests.strangers.shapes import Shape, is_same

HERE = Path(__file__).parent
WHOLE = pickle.loads((HERE / "values").read_bytes())
State = TypedDict("State", {**{name: Any for name in WHOLE}, "shape": Shape, "messages": list[AnyMessage]})

def fill(state: State):
    return WHOLE

def compare(state: State):
    died = HERE / "died"
    if not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    odd = [f"{WHOLE[name]!r} is now {state[name]!r}" for name in WHOLE if not is_same(WHOLE[name], state[name])]
    return {"messages": [AIMessage("changed: " + ", ".join(odd))]}

graph = StateGraph(State)
graph.add_sequence([fill, compare])
graph.add_edge(START, "fill")
"""

HOLDS = """
import threading
from typing import Any
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

class State(MessagesState):
    held: Any

def hold(state: State):
    value = 1
    for _ in range(1000):
        value = [value]
    held = {"lock": {"a": [{"b": threading.Lock()}]}, "deep": value, "huge": 10**5000}
    return {"held": held[state["messages"][-1].text]}

graph = StateGraph(State)
graph.add_node(hold)
graph.add_edge(START, "hold")
"""

ADDS = """
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.graph import START, MessagesState, StateGraph

def call(state: MessagesState):
    most = 10**30
    call = {"name": "add", "args": {"a": most, "deep": [{"b": -most}]}, "id": "1"}
    used = {"input_tokens": most, "output_tokens": 1, "total_tokens": most}
    return {"messages": [
        AIMessage("", tool_calls=[call], usage_metadata=used, response_metadata={"x": most}),
        ToolMessage("done", tool_call_id="1", artifact={"structured_content": {"sum": most}}),
    ]}

def tell(state: MessagesState):
    called, done = state["messages"][-2:]
    found = [called.tool_calls[0]["args"]["a"], called.usage_metadata["input_tokens"],
             called.response_metadata["x"], done.artifact["structured_content"]["sum"]]
    return {"messages": [AIMessage(f"{found[0]} {len(set(found))}")]}

graph = StateGraph(MessagesState)
graph.add_sequence([call, tell])
graph.add_edge(START, "call")
"""

_texts = st.text(st.characters(exclude_categories=["Cs"]))
_numbers = (
    st.integers() | st.integers(min_value=2**62, max_value=2**70) | st.floats() | st.decimals(allow_nan=False)
)
_times = st.datetimes() | st.dates() | st.timedeltas() | st.uuids()
_plain = st.none() | st.booleans() | _numbers | _texts | st.binary() | _times
_values = st.recursive(
    _plain,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(_texts, inner, max_size=3)
        | st.tuples(inner, inner)
        | st.frozensets(_texts | st.integers(), max_size=3)
    ),
    max_leaves=8,
)
_items = st.builds(Item, name=_texts, count=st.integers(), color=st.sampled_from(Color), tags=st.sets(_texts))
_carts = st.builds(Cart, st.tuples(_items, _items), st.just(Level.LOW), _values)
_points = st.builds(Point, st.integers(), st.floats(allow_nan=False))
_shapes = st.sampled_from([*Color, *Word, *Level]) | _items | _carts | _points


def examples(strategy: st.SearchStrategy[Any], most: int) -> list[Any]:
    """So many values, as different as the strategy makes them."""
    made: list[Any] = []
    only_generate = settings(
        max_examples=most, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )

    @only_generate
    @given(strategy)
    def take(value: Any) -> None:
        made.append(value)

    take()
    return made


async def test_every_value_is_the_same_on_another_replica(tmp_path: Path, database_url: str) -> None:
    directory = write_project(tmp_path, KEEPS)
    values = examples(_values | _shapes, 60)
    whole = {f"value_{number}": value for number, value in enumerate(values)}
    (directory / "values").write_bytes(pickle.dumps(whole))
    async with (
        agent_process(directory, postgres_dsn=database_url, checkpoint_durability="sync") as one,
        agent_process(directory, postgres_dsn=database_url) as two,
    ):
        task_id = await send_and_go(one, "keep them", "one")
        await asyncio.to_thread(one.process.wait)
        task = await outcome(two, task_id)
    assert task["artifacts"][0]["parts"][0]["text"] == "changed: "


async def test_a_number_of_any_size_survives_in_calls_and_results(serve: Serve) -> None:
    agent = await serve(ADDS)
    task = await say(agent, "add")
    assert task["artifacts"][0]["parts"][0]["text"] == f"{10**30} 1"
    assert (await agent.messages(task["contextId"]))[1]["tool_calls"][0]["args"]["a"] == 10**30


async def test_what_no_checkpoint_can_hold_is_named_with_its_place(serve: Serve) -> None:
    agent = await serve(HOLDS)
    for text, said in [
        ("lock", "the state's 'held' cannot be stored: its ['a'][0]['b'] is of type lock"),
        ("deep", "nested too deeply"),
        ("huge", "it is of type int"),
    ]:
        task = await say(agent, text)
        assert (state_of(task), said in status_text(task)) == ("failed", True), task
