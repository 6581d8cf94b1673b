"""What a node or a tool writes to LangGraph's stream writer shows while the task works."""

from tests.agents import answer_text
from tests.strangers.serving import Serve, state_of
from tests.strangers.test_streams_of_several_nodes import streamed

PROGRESS = """
from dataclasses import dataclass
from langchain_core.messages import AIMessage
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph

@dataclass
class Step:
    name: str
    done: int

def work(state: MessagesState):
    write = get_stream_writer()
    write("looking")
    write({"read": 9007199254740993, "of": 1.5})
    write(Step("reading", 3))
    write(["a", None])
    for number in range(600):
        write(number)
    return {"messages": [AIMessage("done")]}

graph = StateGraph(MessagesState)
graph.add_node(work)
graph.add_edge(START, "work")
"""


async def test_custom_events_are_status_updates_in_their_order(serve: Serve) -> None:
    agent = await serve(PROGRESS)
    events = await streamed(agent, "go")
    updates = [event["statusUpdate"] for event in events if "statusUpdate" in event]
    said = [update["status"]["message"]["parts"] for update in updates[:-1]]
    assert {state_of(update) for update in updates[:-1]} == {"working"}
    assert [part.get("text", part.get("data")) for (part,) in said][:4] == [
        "looking",
        {"read": 9007199254740993, "of": 1.5},
        {"name": "reading", "done": 3},
        ["a", None],
    ]
    assert [part["data"] for (part,) in said[4:]] == list(range(600))
    task = (await agent.rpc("GetTask", {"id": events[0]["task"]["id"]}))["result"]
    assert (state_of(task), answer_text(task)) == ("completed", "done")
