"""Whatever a graph ends with reaches the caller: results of tools, filled-in schemas, fields, images, files."""

from typing import Any

import pytest

from tests.strangers.serving import Serve, Task, say, state_of

FAKE = """
import base64, json
from typing import Annotated, Any, TypedDict
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.language_models import FakeMessagesListChatModel
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langchain_core.tools import tool
from langgraph.graph import START, MessagesState, StateGraph
from pydantic import BaseModel

class Model(FakeMessagesListChatModel):
    def bind_tools(self, tools, **more):
        return self

def call(name, **arguments):
    return AIMessage("", tool_calls=[{"name": name, "args": arguments, "id": "1"}])

def model(*messages):
    return Model(responses=list(messages))

class Weather(BaseModel):
    city: str
    degrees: float
"""

GRAPHS = {
    "a tool strategy": """
graph = create_agent(model(call("Weather", city="Oslo", degrees=3.5)), response_format=ToolStrategy(Weather))
""",
    "a provider strategy": """
said = AIMessage('{"city": "Oslo", "degrees": 3.5}')
graph = create_agent(model(said), response_format=ProviderStrategy(Weather))
""",
    "a tool that answers itself": """
@tool(return_direct=True)
def weather(city: str) -> str:
    "Look it up."
    return f"3.5 degrees in {city}"

graph = create_agent(model(call("weather", city="Oslo")), [weather])
""",
    "a tool node at the end": """
from langgraph.prebuilt import ToolNode

@tool
def weather(city: str) -> str:
    "Look it up."
    return f"3.5 degrees in {city}"

graph = StateGraph(MessagesState)
graph.add_node("ask", lambda state: {"messages": [call("weather", city="Oslo")]})
graph.add_node("tools", ToolNode([weather]))
graph.add_edge(START, "ask")
graph.add_edge("ask", "tools")
""",
    "another field of the state": """
class State(MessagesState):
    weather: Weather
    nothing: str

graph = StateGraph(State)
graph.add_node("ask", lambda state: {"weather": Weather(city="Oslo", degrees=3.5)})
graph.add_edge(START, "ask")
""",
    "a message as a dict": """
class State(TypedDict):
    messages: Annotated[list[Any], lambda old, new: old + new]

graph = StateGraph(State)
graph.add_node("ask", lambda state: {"messages": [{"role": "assistant", "content": "3.5 degrees in Oslo"}]})
graph.add_edge(START, "ask")
""",
    "a message as a tuple": """
class State(TypedDict):
    messages: Annotated[list[Any], lambda old, new: old + new]

graph = StateGraph(State)
graph.add_node("ask", lambda state: {"messages": [("ai", "3.5 degrees in Oslo")]})
graph.add_edge(START, "ask")
""",
}

WEATHER = {"city": "Oslo", "degrees": 3.5}
ANSWERS: dict[str, dict[str, Any]] = {
    "a tool strategy": {"structured_response": [WEATHER]},
    "a provider strategy": {"answer": ['{"city": "Oslo", "degrees": 3.5}'], "structured_response": [WEATHER]},
    "another field of the state": {"output": [{"weather": WEATHER}]},
}


IMAGES = """
PIXEL = base64.b64encode(b"pixel").decode()
BLOCKS = [
    {"type": "text", "text": "here: "},
    {"type": "image", "base64": PIXEL, "mime_type": "image/png", "extras": {"filename": "a.png"}},
    {"type": "image_url", "image_url": {"url": "data:image/jpeg;base64," + PIXEL}},
    {"type": "file", "url": "https://example.com/a.pdf", "mime_type": "application/pdf"},
    {"type": "text", "text": "done"},
]

def show(state: MessagesState):
    known = state["messages"][-1].additional_kwargs["a2a"]
    assert known["metadata"] == {"trace": 7} and known["part_metadata"] == [{"lang": "no"}], known
    return {"messages": [AIMessage(BLOCKS)]}

graph = StateGraph(MessagesState)
graph.add_node(show)
graph.add_edge(START, "show")
"""


MUTE = """
graph = StateGraph(MessagesState)
graph.add_node("mute", lambda state: {})
graph.add_edge(START, "mute")
"""


async def test_images_and_files_of_an_answer_are_file_parts_and_metadata_reaches_the_graph(serve: Serve) -> None:
    agent = await serve(FAKE + IMAGES)
    parts = [{"text": "show me", "metadata": {"lang": "no"}}]
    task = (await agent.send("", parts=parts, metadata={"trace": 7}))["task"]
    assert state_of(task) == "completed"
    (artifact,) = task["artifacts"]
    assert [
        (part.get("text"), part.get("raw"), part.get("url"), part["mediaType"]) for part in artifact["parts"]
    ] == [
        ("here: done", None, None, "text/plain"),
        (None, "cGl4ZWw=", None, "image/png"),
        (None, "cGl4ZWw=", None, "image/jpeg"),
        (None, None, "https://example.com/a.pdf", "application/pdf"),
    ]
    assert artifact["parts"][1]["filename"] == "a.png"


async def test_a_turn_without_any_answer_is_logged(serve: Serve, caplog: pytest.LogCaptureFixture) -> None:
    task = await say(await serve(FAKE + MUTE), "go")
    assert (state_of(task), task.get("artifacts", [])) == ("completed", [])
    assert f"turn completed without an answer task_id={task['id']}" in caplog.text


def artifacts_of(task: Task) -> dict[str, list[Any]]:
    """The text or the data of each part, by the artifact's name."""
    return {
        artifact["name"]: [part.get("text", part.get("data")) for part in artifact["parts"]]
        for artifact in task.get("artifacts", [])
    }


@pytest.mark.parametrize("name", GRAPHS)
async def test_a_graph_that_does_not_end_in_an_ai_text_has_an_answer(serve: Serve, name: str) -> None:
    agent = await serve(FAKE + GRAPHS[name])
    task = await say(agent, "how warm is it in Oslo?")
    assert state_of(task) == "completed"
    assert artifacts_of(task) == ANSWERS.get(name, {"answer": ["3.5 degrees in Oslo"]})
