"""One served agent for the tests of LangGraph's API, and its unmodified client."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from psycopg.conninfo import make_conninfo

from tests.agents import Agent, running_agent, write_project
from tests.databases import create_database, drop_database

# The last message decides what happens; "say" streams from a model in a subgraph.
GRAPH = """
import asyncio
import operator
from pathlib import Path
from typing import Annotated

from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage
from langgraph.config import get_stream_writer
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

HERE = Path(__file__).parent

class State(MessagesState):
    steps: Annotated[list[str], operator.add]

async def say(state: State):
    return {"messages": [await FakeListChatModel(responses=["well said"]).ainvoke(state["messages"])]}

inner = StateGraph(State).add_node(say).add_edge(START, "say").compile()

async def first(state: State):
    get_stream_writer()({"first": True})
    return {"steps": ["first"]}

async def answer(state: State, config):
    verb, _, rest = state["messages"][-1].text.partition(" ")
    if verb == "hold":
        (HERE / f"begun-{rest}").touch()
        while not (HERE / f"release-{rest}").exists():
            await asyncio.sleep(0.02)
    elif verb == "fail":
        raise ValueError(rest)
    elif verb == "ask":
        rest = "heard " + str(interrupt({"question": rest}))
    elif verb == "who":
        rest = config["configurable"].get("langgraph_auth_user_id", "nobody")
    return {"steps": [verb], "messages": [AIMessage(rest)]}

graph = StateGraph(State)
graph.add_node(first)
graph.add_node(answer)
graph.add_node("inner", inner)
graph.add_edge(START, "first")
graph.add_conditional_edges("first", lambda s: "inner" if s["messages"][-1].text == "say" else "answer")
"""


@pytest.fixture(scope="module")
def shared_database_url(server_dsn: str, template_database: str) -> Iterator[str]:
    name = create_database(server_dsn, template_database)
    yield make_conninfo(server_dsn, dbname=name)
    drop_database(server_dsn, name)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def agent(shared_database_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Agent]:
    directory = write_project(tmp_path_factory.mktemp("langgraph") / "project", GRAPH)
    async with running_agent(directory, shared_database_url, cors_origins="https://front.example") as agent:
        yield agent


@pytest_asyncio.fixture(loop_scope="module")
async def client(agent: Agent) -> AsyncIterator[LangGraphClient]:
    async with get_client(url=agent.url, api_key=None) as client:
        yield client
