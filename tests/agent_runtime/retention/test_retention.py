"""A thread keeps its latest checkpoints and loses those before them, and nothing that was in it."""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

from agent_runtime.graph import Conversation
from agent_runtime.retention import snapshots
from agent_runtime.retention.service import Pruning, Retention
from agent_runtime.threads.conversation import read_conversation
from agent_runtime.threads.service import Threads
from agent_runtime.turns.state_types import serializer_for
from groundwork.postgres.pool import Pool
from tests.agents import running_agent, write_project
from tests.stock_graphs import say

TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")

CONVERSATION = """
from langgraph.graph import START, StateGraph
from agent_runtime.graph import Conversation

graph = StateGraph(Conversation)
graph.add_node("answer", lambda state: {"messages": [("ai", "yes")]})
graph.add_edge(START, "answer")
"""


def retention_of(pool: Pool, keep: int, agent_id: str = "mine", **given: Any) -> Retention:
    return Retention(pool, agent_id, keep, pruned=lambda rows: None, **given)


@pytest.fixture
def threads(pool: Pool) -> Threads:
    return Threads(pool, "mine", forget=lambda thread_ids: None)


async def talk(pool: Pool, threads: Threads, thread_id: str, turns: int) -> None:
    await threads.claim(thread_id)
    for number in range(turns):
        await say(pool, thread_id, f"message {number}")


async def checkpoints_of(pool: Pool, thread_id: str) -> dict[str, int]:
    """How many checkpoints there are, by namespace."""
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT checkpoint_ns AS ns, count(*) AS n FROM checkpoints WHERE thread_id = %s GROUP BY 1",
            (thread_id,),
        )
        return {row["ns"]: row["n"] for row in await cursor.fetchall()}


async def rows_of(pool: Pool, thread_id: str) -> dict[str, list[Any]]:
    """All that LangGraph's tables hold of the thread, but its id."""
    rows = {}
    async with pool.connection() as conn:
        for table in TABLES:
            cursor = await conn.execute(
                f"SELECT to_jsonb(t) - 'thread_id' AS row FROM {table} t WHERE thread_id = %s ORDER BY 1::text",
                (thread_id,),
            )
            rows[table] = [row["row"] for row in await cursor.fetchall()]
    return rows


async def copy_thread(pool: Pool, thread_id: str, copy: str) -> None:
    async with pool.connection() as conn:
        for table in TABLES:
            await conn.execute(
                f"INSERT INTO {table}"
                " SELECT (jsonb_populate_record(t, jsonb_build_object('thread_id', %s::text))).*"
                f" FROM {table} t WHERE thread_id = %s",
                (copy, thread_id),
            )


async def said_in(pool: Pool, thread_id: str) -> list[str]:
    async with pool.connection() as conn:
        return [str(message.text) for message in await read_conversation(conn, "mine", thread_id)]


@pytest.mark.parametrize("keep", [1, 3])
async def test_many_turns_leave_the_latest_checkpoints_and_the_whole_conversation(pool, threads, keep):
    await talk(pool, threads, "t", 12)
    before = await said_in(pool, "t")

    pruning = await retention_of(pool, keep).prune(["t"])

    assert await checkpoints_of(pool, "t") == {"": keep}
    assert await said_in(pool, "t") == before
    assert pruning.rows["checkpoints"] == 12 * 3 - keep
    await say(pool, "t", "and on")
    assert await said_in(pool, "t") == [*before, "and on", "You said and on"]


async def test_with_one_that_is_kept_there_is_left_what_langgraphs_own_pruning_leaves(pool, threads):
    await talk(pool, threads, "ours", 5)
    await copy_thread(pool, "ours", "library's")

    await retention_of(pool, 1).prune(["ours"])
    await AsyncPostgresSaver(pool).aprune(["library's"])

    assert await rows_of(pool, "ours") == await rows_of(pool, "library's")


async def test_more_than_one_step_can_take_is_pruned_in_several(pool, threads, monkeypatch):
    monkeypatch.setattr("agent_runtime.retention.service.ROW_BATCH", 4)
    await talk(pool, threads, "t", 5)
    assert (await retention_of(pool, 2).prune(["t"])).rows["checkpoints"] == 13
    assert await checkpoints_of(pool, "t") == {"": 2}


async def test_a_thread_with_little_in_it_stays_as_it_is(pool, threads):
    await talk(pool, threads, "t", 1)
    before = await rows_of(pool, "t")
    assert not (await retention_of(pool, 3).prune(["t", "unknown"])).rows.total()
    assert await rows_of(pool, "t") == before


async def test_threads_of_others_are_not_touched(pool, threads):
    await talk(pool, threads, "t", 3)
    before = await rows_of(pool, "t")
    assert await retention_of(pool, 1, agent_id="theirs").prune(["t"]) == Pruning()
    assert await rows_of(pool, "t") == before


# Subgraphs


class Count(TypedDict, total=False):
    count: int


def graph_with_subgraphs(pool: Pool) -> Any:
    """`call` runs a subgraph that asks and forgets, `own` one that counts how often it was called."""
    inner = StateGraph(MessagesState)
    inner.add_node("ask", lambda state: {"messages": [AIMessage(f"heard {interrupt('which?')}")]})
    inner.add_edge(START, "ask")
    counting = StateGraph(Count)
    counting.add_node("add", lambda state: {"count": state.get("count", 0) + 1})
    counting.add_edge(START, "add")
    counter = counting.compile(checkpointer=True)

    async def own(state: MessagesState) -> dict[str, Any]:
        counted = await counter.ainvoke({})
        return {"messages": [AIMessage(f"called {counted['count']} times")]}

    outer = StateGraph(MessagesState)
    outer.add_node("call", inner.compile())
    outer.add_node("own", own)
    outer.add_edge(START, "call")
    outer.add_edge("call", "own")
    return outer.compile(checkpointer=AsyncPostgresSaver(pool))


async def test_calls_of_subgraphs_go_with_their_turn_and_their_own_memory_stays(pool, threads):
    graph = graph_with_subgraphs(pool)
    await threads.claim("t")
    config = {"configurable": {"thread_id": "t"}}
    retention = retention_of(pool, 1)
    for number in range(1, 4):
        await graph.ainvoke({"messages": [HumanMessage(f"turn {number}")]}, config)
        await retention.prune(["t"])
        waiting = await checkpoints_of(pool, "t")
        assert set(waiting.values()) == {1}
        assert [ns for ns in waiting if ":" in ns], "the call that waits for its answer is still there"
        state = await graph.ainvoke(Command(resume="this"), config)
        assert state["messages"][-2:] == [
            AIMessage("heard this", id=state["messages"][-2].id),
            AIMessage(f"called {number} times", id=state["messages"][-1].id),
        ]
        await retention.prune(["t"])
        assert await checkpoints_of(pool, "t") == {"": 1, "own": 1}


async def test_calls_whose_turn_stored_only_its_end_go_too(pool, threads):
    graph = graph_with_subgraphs(pool)
    await threads.claim("t")
    config = {"configurable": {"thread_id": "t"}}
    for _ in range(3):
        await graph.ainvoke({"messages": [HumanMessage("turn")]}, config, durability="exit")
        await graph.ainvoke(Command(resume="this"), config, durability="exit")
    await retention_of(pool, 1).prune(["t"])
    assert [ns for ns in await checkpoints_of(pool, "t") if ":" in ns] == []
    assert not [row for rows in (await rows_of(pool, "t")).values() for row in rows if ":" in row["checkpoint_ns"]]


# Threads that cannot be read without what is old


async def test_a_thread_with_a_delta_channel_is_skipped_and_named_once(pool, threads, caplog):
    class State(TypedDict):
        notes: Annotated[list[str], DeltaChannel(lambda have, writes: have + [n for w in writes for n in w], list)]

    builder = StateGraph(State)
    builder.add_node("note", lambda state: {"notes": ["noted"]})
    builder.add_edge(START, "note")
    graph = builder.compile(checkpointer=AsyncPostgresSaver(pool))
    await threads.claim("delta")
    for _ in range(3):
        await graph.ainvoke({"notes": ["said"]}, {"configurable": {"thread_id": "delta"}})
    await talk(pool, threads, "plain", 3)
    before = await rows_of(pool, "delta")
    retention = retention_of(pool, 1)

    pruning = await retention.prune(["delta", "plain"])

    assert pruning.skipped == {"delta": "a delta channel"}
    assert await rows_of(pool, "delta") == before
    assert await checkpoints_of(pool, "plain") == {"": 1}
    with caplog.at_level(logging.INFO, "agent_runtime.retention"):
        for _ in range(2):
            retention.consider("delta")
            await retention.drain(10)
    assert [record.getMessage() for record in caplog.records] == [
        "all checkpoints of a thread kept thread_id='delta': it uses a delta channel"
    ]


def conversation(pool: Pool) -> Any:
    builder = StateGraph(Conversation)
    builder.add_node("answer", lambda state: {"messages": [AIMessage(f"answer {len(state['messages'])}")]})
    builder.add_edge(START, "answer")
    return builder.compile(checkpointer=AsyncPostgresSaver(pool))


def snapshots_of(
    graph: Any, slack: int, kind: type[snapshots.Snapshots] = snapshots.Snapshots
) -> snapshots.Snapshots:
    return kind({"agent": snapshots.DeltaChannels.of(graph, serializer_for(graph))}, slack)


async def test_a_long_conversation_in_a_delta_channel_stays_flat_and_langgraph_reads_it(pool, threads):
    graph, config = conversation(pool), {"configurable": {"thread_id": "t"}}
    await threads.claim("t")
    retention = retention_of(pool, 3, snapshots=snapshots_of(graph, 6))
    for turn in range(40):
        await graph.ainvoke({"messages": [HumanMessage(f"message {turn}")]}, config)
        assert (await retention.prune(["t"])).skipped == {}
        rows = await rows_of(pool, "t")
        assert len(rows["checkpoints"]) <= 9
        assert sum(map(len, rows.values())) <= 60, "what is stored beside the conversation does not grow"
    told = [text for n in range(40) for text in (f"message {n}", f"answer {2 * n + 1}")]
    state = await graph.aget_state(config)
    assert [message.content for message in state.values["messages"]] == told
    history = [len(each.values["messages"]) async for each in graph.aget_state_history(config)]
    assert history[0] == 80
    assert min(history) >= 74, "each checkpoint that is left is whole"
    async with pool.connection() as conn:
        assert [message.content for message in await read_conversation(conn, "mine", "t")] == told


async def test_a_snapshot_stays_when_more_is_stored_after_it_was_written(pool, threads):
    graph, config = conversation(pool), {"configurable": {"thread_id": "t"}}

    class Overtaken(snapshots.Snapshots):
        async def write(self, conn: Any, thread_id: str, keep: int) -> str | None:
            at = await super().write(conn, thread_id, keep)
            if len((await graph.aget_state(config)).values["messages"]) == 6:
                await graph.ainvoke({"messages": [HumanMessage("more")]}, config)
            return at

    await threads.claim("t")
    for _ in range(3):
        await graph.ainvoke({"messages": [HumanMessage("said")]}, config)
    retention = retention_of(pool, 1, snapshots=snapshots_of(graph, 0, Overtaken))
    pruning = await retention.prune(["t"])
    assert pruning.rows["checkpoints"] > 0
    said = [each.content for each in (await graph.aget_state(config)).values["messages"]]
    assert said[::2] == ["said", "said", "said", "more"]


async def test_a_thread_with_a_delta_channel_and_a_turn_is_left_for_later(pool, threads):
    graph = conversation(pool)
    await threads.claim("t")
    for _ in range(3):
        await graph.ainvoke({"messages": [HumanMessage("said")]}, {"configurable": {"thread_id": "t"}})
    async with pool.connection() as conn:
        await conn.execute(
            "INSERT INTO agent_turns (thread_id, task_id, process_id, status, request)"
            " VALUES ('t', 't', gen_random_uuid(), 'running', '')"
        )
    pruning = await retention_of(pool, 1, snapshots=snapshots_of(graph, 0)).prune(["t"])
    assert (pruning.held, pruning.rows.total()) == ({"t"}, 0)


async def test_a_thread_in_an_old_format_is_skipped_until_it_is_in_the_new_one(pool, threads):
    await talk(pool, threads, "t", 2)
    async with pool.connection() as conn:
        await conn.execute("UPDATE checkpoints SET checkpoint = jsonb_set(checkpoint, '{v}', '3')")
    retention = retention_of(pool, 1)
    assert (await retention.prune(["t"])).skipped == {"t": "a format of LangGraph before version 4"}
    await say(pool, "t", "again")
    assert (await retention.prune(["t"])).skipped == {}
    assert await checkpoints_of(pool, "t") == {"": 1}


# Side by side


async def test_a_thread_that_somebody_works_on_is_left_for_later_at_once(pool, threads):
    await talk(pool, threads, "held", 3)
    await talk(pool, threads, "free", 3)
    retention = retention_of(pool, 1)
    async with pool.connection() as conn, conn.transaction():
        await conn.execute("SELECT FROM agent_threads WHERE thread_id = 'held' FOR UPDATE")
        async with asyncio.timeout(5):
            pruning = await retention.prune(["held", "free"])
    assert pruning.held == {"held"}
    assert await checkpoints_of(pool, "free") == {"": 1}
    assert (await checkpoints_of(pool, "held"))[""] > 1
    assert not (await retention.prune(["held"])).held
    assert await checkpoints_of(pool, "held") == {"": 1}


async def test_many_sweeps_meet_on_the_same_threads_while_turns_go_on(pool, threads, caplog):
    names = [f"t-{number}" for number in range(4)]
    for name in names:
        await talk(pool, threads, name, 3)
    sweeps = [retention_of(pool, 1) for _ in range(4)]
    for number in range(6):
        await asyncio.gather(
            *(say(pool, name, f"more {number}") for name in names), *(sweep.prune(names) for sweep in sweeps)
        )
    await sweeps[0].prune(names)

    for name in names:
        assert await checkpoints_of(pool, name) == {"": 1}
        said = await said_in(pool, name)
        assert said[::2] == [f"message {n}" for n in range(3)] + [f"more {n}" for n in range(6)]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_deletion_waits_for_a_sweep_and_leaves_nothing(pool, threads):
    await talk(pool, threads, "t", 20)
    _, erasure = await asyncio.gather(retention_of(pool, 1).prune(["t"]), threads.delete_thread("t"))
    assert erasure.deleted["checkpoints"] >= 1
    assert await rows_of(pool, "t") == {table: [] for table in TABLES}


# In an agent


async def pruned_to(pool: Pool, thread_id: str, most: int) -> None:
    """Waits until no namespace of the thread has more checkpoints than that."""
    async with asyncio.timeout(15):
        while max((await checkpoints_of(pool, thread_id)).values()) > most:
            await asyncio.sleep(0.05)


async def test_an_agent_prunes_after_its_turns(tmp_path: Path, pool: Pool, database_url: str) -> None:
    directory = write_project(tmp_path / "agent")
    async with running_agent(directory, database_url, checkpoint_retention=2) as agent:
        for number in range(8):
            await agent.ask(f"message {number}", "t")
        await pruned_to(pool, "t", 2)
        said = [message["content"] for message in await agent.messages("t") if message["role"] == "human"]
        assert said == [f"message {number}" for number in range(8)]
        metrics = (await agent.http.get("/metrics")).text
        assert 'agent_pruned_rows_total{table="checkpoints"}' in metrics


async def test_an_agent_that_stops_prunes_first(tmp_path: Path, pool: Pool, database_url: str) -> None:
    directory = write_project(tmp_path / "agent")
    async with running_agent(directory, database_url, checkpoint_retention=1) as agent:
        await agent.ask("hello", "t")
    assert await checkpoints_of(pool, "t") == {"": 1}


async def test_an_agent_prunes_at_start_what_is_there_already(
    tmp_path: Path, pool: Pool, database_url: str
) -> None:
    directory = write_project(tmp_path / "agent")
    async with running_agent(directory, database_url) as agent:
        for _ in range(3):
            await agent.ask("hello", "t")
    assert (await checkpoints_of(pool, "t"))[""] == 9
    async with running_agent(directory, database_url, checkpoint_retention=2):
        await pruned_to(pool, "t", 2)


async def test_an_agent_prunes_the_threads_of_a_graph_that_keeps_changes(
    tmp_path: Path, pool: Pool, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "SLACK", 2)
    directory = write_project(tmp_path / "agent", CONVERSATION)
    async with running_agent(directory, database_url, checkpoint_retention=2) as agent:
        for number in range(6):
            await agent.ask(f"message {number}", "t")
        await pruned_to(pool, "t", 4)
    async with running_agent(directory, database_url, checkpoint_retention=2) as agent:
        await agent.ask("message 6", "t")
        said = [message["content"] for message in await agent.messages("t") if message["role"] == "human"]
    assert said == [f"message {number}" for number in range(7)]


def test_at_least_one_checkpoint_is_kept(pool: Pool) -> None:
    def told(rows: Mapping[str, int]) -> None:
        raise AssertionError(rows)

    with pytest.raises(ValueError, match="at least the latest"):
        Retention(pool, "mine", 0, pruned=told)
