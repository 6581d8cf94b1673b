"""Each question of a graph is asked, and each answer is given to the question it was meant for, once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from groundwork.postgres.pool import Pool
from tests.agents import Agent, answer_text, running_agent, write_project

TWO_IN_ONE_NODE = """
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

def ask(state: MessagesState):
    first = interrupt("first?")
    return {"messages": [AIMessage(f"{first} and {interrupt('second?')}")]}

graph = StateGraph(MessagesState)
graph.add_node(ask)
graph.add_edge(START, "ask")
"""

TWO_IN_A_SUBGRAPH = """
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

def first(state: MessagesState):
    return {"messages": [AIMessage(interrupt("first?"))]}

def second(state: MessagesState):
    return {"messages": [AIMessage(f"{state['messages'][-1].text} and {interrupt('second?')}")]}

inner = StateGraph(MessagesState)
inner.add_sequence([first, second])
inner.add_edge(START, "first")

graph = StateGraph(MessagesState)
graph.add_node("inner", inner.compile())
graph.add_edge(START, "inner")
"""

TWO_AT_ONCE = """
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import interrupt

def left(state: MessagesState):
    return {"messages": [AIMessage("left: " + interrupt("left?"))]}

def right(state: MessagesState):
    return {"messages": [AIMessage("right: " + interrupt("right?"))]}

def both(state: MessagesState):
    said = sorted(message.text for message in state["messages"][1:])
    return {"messages": [AIMessage(", ".join(said))]}

graph = StateGraph(MessagesState)
graph.add_node(left)
graph.add_node(right)
graph.add_node(both)
graph.add_edge(START, "left")
graph.add_edge(START, "right")
graph.add_edge(["left", "right"], "both")
"""

STOPS = """
from pathlib import Path
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

def think(state: MessagesState):
    return {"messages": [AIMessage("I will act")]}

def act(state: MessagesState):
    (Path(__file__).parent / "acted").touch()
    return {"messages": [AIMessage("done")]}

inner = StateGraph(MessagesState).add_sequence([think, act]).add_edge(START, "think")
"""
BREAKPOINTS = [
    'graph = inner.compile(interrupt_before=["act"])',
    'graph = inner.compile(interrupt_after=["think"])',
    'stops = inner.compile(interrupt_before="*")\n'
    'graph = StateGraph(MessagesState).add_node("stops", stops).add_edge(START, "stops")',
]


@asynccontextmanager
async def ends_of_turns_failing(pool: Pool) -> AsyncIterator[None]:
    """Inside, no turn can be ended, as when the database goes away at that moment; it is taken over instead."""
    async with pool.connection() as conn:
        await conn.execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN RAISE EXCEPTION 'not now' USING ERRCODE = 'serialization_failure'; END $$"
        )
        await conn.execute(
            "CREATE TRIGGER refuse BEFORE DELETE ON agent_turns FOR EACH ROW EXECUTE FUNCTION refuse()"
        )
        yield
        await conn.execute("DROP TRIGGER refuse ON agent_turns")


async def taken_over(pool: Pool) -> None:
    """Waits until the one turn that is there is run once more."""
    async with pool.connection() as conn:
        while True:
            # A turn that was accepted just now is given a few seconds before it is taken for lost.
            await conn.execute("UPDATE agent_turns SET accepted_at = now() - interval '1 minute'")
            row = await (await conn.execute("SELECT max(attempt) AS attempt FROM agent_turns")).fetchone()
            if row is not None and (row["attempt"] or 0) > 1:
                return
            await asyncio.sleep(0.05)


def question(task: dict[str, Any]) -> str:
    assert task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED", task["status"]
    text: str = task["status"]["message"]["parts"][0]["text"]
    return text


async def reply(agent: Agent, task: dict[str, Any], text: str) -> dict[str, Any]:
    answered: dict[str, Any] = (await agent.send(text, contextId=task["contextId"], taskId=task["id"]))["task"]
    return answered


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
@pytest.mark.parametrize("source", [TWO_IN_ONE_NODE, TWO_IN_A_SUBGRAPH])
async def test_an_answer_is_not_given_to_the_next_question_when_its_turn_is_run_again(
    tmp_path: Path, database_url: str, pool: Pool, source: str, durability: str
) -> None:
    directory = write_project(tmp_path, source)
    async with running_agent(directory, database_url, checkpoint_durability=durability) as agent:
        task = (await agent.send("go"))["task"]
        assert question(task) == "first?"
        async with ends_of_turns_failing(pool):
            answering = asyncio.create_task(reply(agent, task, "one"))
            await asyncio.wait_for(taken_over(pool), 10)
        task = await asyncio.wait_for(answering, 10)
        assert question(task) == "second?"
        task = await reply(agent, task, "two")
        assert answer_text(task).endswith("one and two")


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_questions_raised_at_once_are_asked_and_answered_one_by_one(
    tmp_path: Path, database_url: str, durability: str
) -> None:
    directory = write_project(tmp_path, TWO_AT_ONCE)
    async with running_agent(directory, database_url, checkpoint_durability=durability) as agent:
        task = (await agent.send("go"))["task"]
        asked = []
        for _ in range(2):
            asked.append(question(task))
            task = await reply(agent, task, asked[-1].upper())
        assert sorted(asked) == ["left?", "right?"]
        assert task["status"]["state"] == "TASK_STATE_COMPLETED"
        assert answer_text(task).endswith("left: LEFT?, right: RIGHT?")


@pytest.mark.parametrize("graph", BREAKPOINTS)
async def test_a_turn_that_is_run_again_stops_where_it_had_stopped(
    tmp_path: Path, database_url: str, pool: Pool, graph: str
) -> None:
    async with running_agent(write_project(tmp_path, STOPS + graph), database_url) as agent:
        async with ends_of_turns_failing(pool):
            sending = asyncio.create_task(agent.send("go"))
            await asyncio.wait_for(taken_over(pool), 30)
        task = (await asyncio.wait_for(sending, 30))["task"]
        assert "Stopped before" in question(task)
        assert not (tmp_path / "acted").exists()
        while task["status"]["state"] == "TASK_STATE_INPUT_REQUIRED":
            task = await reply(agent, task, "go on")
        assert (tmp_path / "acted").exists()
