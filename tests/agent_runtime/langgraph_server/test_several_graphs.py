"""Several graphs of one agent, each of them an assistant."""

from pathlib import Path
from typing import Any
from uuid import UUID, uuid5

import pytest
from langgraph_sdk import get_client

from tests.agent_runtime.langgraph_server.test_replicas import write_graphs
from tests.agent_runtime.langgraph_server.test_runs import said
from tests.agents import answer_text, running_agent, text_message

LANGGRAPH = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
"""In which LangGraph's own server makes the ids of assistants."""

SAYS = """
from langgraph.graph import START, MessagesState, StateGraph

async def answer(state: MessagesState):
    return {{"messages": [("ai", f"{name} {{len(state['messages'])}}")]}}

graph = StateGraph(MessagesState).add_node("{name}", answer).add_edge(START, "{name}")
"""


COUNTS = """
from langgraph.graph import START, MessagesState, StateGraph

class State(MessagesState):
    n: int

async def answer(state: State):
    return {"messages": [("ai", f"{state['n'] + 1}")]}

graph = StateGraph(State).add_node(answer).add_edge(START, "answer")
"""


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return write_graphs(tmp_path, red=SAYS.format(name="red"), blue=SAYS.format(name="blue"))


async def test_a_run_chooses_its_graph_and_its_thread_remembers_it(directory: Path, database_url: str) -> None:
    async with (
        running_agent(directory, database_url) as agent,
        get_client(url=agent.url, api_key=None) as client,
    ):
        red, blue = await client.assistants.search()
        assert (red["graph_id"], blue["assistant_id"]) == ("red", str(uuid5(LANGGRAPH, "blue")))
        drawn: Any = await client.assistants.get_graph("blue")
        assert "blue" in [node["id"] for node in drawn["nodes"]]
        thread = (await client.threads.create())["thread_id"]
        for name in ("blue", blue["assistant_id"]):
            values: Any = await client.runs.wait(thread, name, input=said("hello"))
        assert [message["content"] for message in values["messages"]] == ["hello", "blue 1", "hello", "blue 3"]
        assert await agent.ask("over A2A", thread) == "blue 5"
        assert await agent.ask("by the default", "other") == "red 1"
        assert [run["assistant_id"] for run in await client.runs.list(thread)] == [blue["assistant_id"]] * 3
        for one, found in ((blue, thread), (red, "other")):
            threads = await client.threads.search(metadata={"assistant_id": one["assistant_id"]})
            assert [each["thread_id"] for each in threads] == [found]
    async with running_agent(directory, database_url, graph="blue") as agent:
        assert await agent.ask("still", "other") == "red 3"
        assert await agent.ask("new", "third") == "blue 1"


async def test_a_message_over_a2a_is_what_the_graph_of_its_thread_takes(tmp_path: Path, database_url: str) -> None:
    project = write_graphs(tmp_path, red=SAYS.format(name="red"), counts=COUNTS)
    async with (
        running_agent(project, database_url) as agent,
        get_client(url=agent.url, api_key=None) as client,
    ):
        thread = (await client.threads.create())["thread_id"]
        await client.runs.wait(thread, "counts", input={**said("hello"), "n": 1})
        message = {**text_message("next", contextId=thread), "parts": [{"text": "next"}, {"data": {"n": 41}}]}
        answer = await agent.rpc("SendMessage", {"message": message})
        assert answer_text(answer["result"]["task"]) == "42"
