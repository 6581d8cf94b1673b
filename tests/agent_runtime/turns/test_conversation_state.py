"""Conversations that are stored by what each step adds: the same to everybody, and kept in mind between turns."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.messages import AIMessage, AIMessageChunk, AnyMessage, HumanMessage, RemoveMessage
from langgraph.graph.message import REMOVE_ALL_MESSAGES, add_messages

from agent_runtime.graph.conversation import merge_messages
from agent_runtime.turns.conversation_cache import ConversationCache
from groundwork.postgres.pool import Pool
from tests.agents import running_agent, write_project

REMEMBERS = """
from langchain_core.messages import AIMessage, RemoveMessage
from langgraph.graph import START, StateGraph
from agent_runtime.graph import Conversation

async def answer(state: Conversation):
    text = state["messages"][-1].text
    if text == "forget":
        return {"messages": [RemoveMessage(id=message.id) for message in state["messages"][:-1]]}
    said = [message.text for message in state["messages"]]
    return {"messages": [AIMessage(f"{len(said)}: {' '.join(said)}")]}

graph = StateGraph(Conversation)
graph.add_node(answer)
graph.add_edge(START, "answer")
"""

IDS = st.sampled_from("abcdef")
SAID: st.SearchStrategy[AnyMessage] = st.builds(
    lambda id, text: HumanMessage(text, id=id), IDS, st.text(max_size=3)
)
WRITES = st.lists(st.lists(SAID | IDS.map(lambda id: RemoveMessage(id=id)), max_size=4), max_size=6)


@given(st.lists(SAID, max_size=4), WRITES, WRITES)
def test_writes_come_to_the_same_however_many_are_merged_at_once(
    before: list[AnyMessage], first: list[Any], then: list[Any]
) -> None:
    state = merge_messages([], [before])
    assert merge_messages(merge_messages(state, first), then) == merge_messages(state, [*first, *then])


@given(st.lists(SAID, max_size=6, unique_by=lambda message: message.id), st.lists(SAID, max_size=4))
def test_they_are_merged_as_langgraph_merges_messages(before: list[AnyMessage], said: list[AnyMessage]) -> None:
    assert merge_messages(before, [said]) == add_messages(list(before), list(said))  # type: ignore[arg-type]


def test_a_chunk_becomes_a_message_and_everything_can_be_removed() -> None:
    state = merge_messages([HumanMessage("one", id="1")], [AIMessageChunk(content="two", id="2")])
    assert state == [HumanMessage("one", id="1"), AIMessage("two", id="2")]
    assert merge_messages(state, [[RemoveMessage(id=REMOVE_ALL_MESSAGES)]]) == []


@pytest.mark.parametrize("cache", [0, 32])
async def test_each_turn_goes_on_from_all_that_was_said(tmp_path: Path, database_url: str, cache: int) -> None:
    directory = write_project(tmp_path, REMEMBERS)
    async with running_agent(directory, database_url, conversation_cache_mb=cache) as agent:
        for text in ("one", "two", "forget", "three"):
            await agent.ask(text, "t")
        said = [message["content"] for message in await agent.messages("t")]
    assert said == ["forget", "three", "2: forget three"]


async def test_what_another_process_has_added_is_seen(tmp_path: Path, database_url: str) -> None:
    directory = write_project(tmp_path, REMEMBERS)
    async with running_agent(directory, database_url) as one, running_agent(directory, database_url) as two:
        for agent, text in ((one, "a"), (two, "b"), (one, "c"), (one, "d")):
            await agent.ask(text, "t")
        said = [message["content"] for message in await one.messages("t")]
    assert said[::2] == ["a", "b", "c", "d"]
    assert [text.partition(":")[0] for text in said[1::2]] == ["1", "3", "5", "7"]


async def test_a_deleted_conversation_is_not_remembered(tmp_path: Path, database_url: str) -> None:
    async with running_agent(write_project(tmp_path, REMEMBERS), database_url) as agent:
        await agent.ask("one", "t")
        await agent.http.delete("/api/v1/memory/threads/t")
        await agent.ask("two", "t")
        assert [message["content"] for message in await agent.messages("t")] == ["two", "1: two"]


async def test_a_turn_stores_what_it_adds_and_not_the_conversation(
    tmp_path: Path, database_url: str, pool: Pool
) -> None:
    async with running_agent(write_project(tmp_path, REMEMBERS), database_url) as agent:
        for _ in range(4):
            await agent.ask("x" * 10_000, "t")
    async with pool.connection() as conn:
        query = "SELECT length(blob) AS n FROM checkpoint_writes WHERE channel = 'messages' ORDER BY checkpoint_id"
        lengths = [row["n"] for row in await (await conn.execute(query)).fetchall()]
        blobs = await (await conn.execute("SELECT 1 FROM checkpoint_blobs WHERE channel = 'messages'")).fetchall()
    asked = lengths[::2]
    assert (len(asked), max(asked) < 11_000, blobs) == (4, True, [])


def test_what_was_used_longest_ago_is_given_up_first() -> None:
    recent = ConversationCache(10_000)
    for number in range(5):
        recent.put(f"t{number}", "1", {"messages": [HumanMessage("x" * 1_000)]})
        recent.find("t0", "1")
    assert [bool(recent.find(f"t{number}", "1")) for number in range(5)] == [True, False, True, True, True]
    assert recent.find("t4", "2") is None


def test_a_conversation_too_large_is_not_remembered() -> None:
    recent = ConversationCache(10_000)
    recent.put("t", "1", {"messages": [HumanMessage("hello")]})
    recent.put("t", "2", {"messages": [HumanMessage("x" * 20_000)]})
    assert (recent.find("t", "1"), recent.find("t", "2")) == (None, None)


async def test_a_deleted_conversation_is_remembered_no_longer(tmp_path: Path, database_url: str) -> None:
    async with running_agent(write_project(tmp_path, REMEMBERS), database_url) as agent:
        for context in ("deleted", "kept"):
            await agent.ask("hello", context)
        assert len(agent.runtime.recent) == 2
        assert (await agent.http.delete("/api/v1/memory/threads/deleted")).is_success
        assert len(agent.runtime.recent) == 1
        assert await agent.ask("hello again", "deleted") == "1: hello again"
