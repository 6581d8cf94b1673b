"""What a run of ours stores is what LangGraph's own saver would have stored, only in fewer transactions."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Annotated, Any, TypedDict
from uuid import uuid4

import pytest
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage
from langchain_core.runnables import RunnableConfig
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.conformance import checkpointer_test, validate
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.graph.message import _messages_delta_reducer
from langgraph.graph.state import CompiledStateGraph
from langgraph.types import interrupt
from psycopg.errors import UntranslatableCharacter

from agent_runtime.a2a_server.feed import task_feed
from agent_runtime.a2a_server.live_tasks import LiveTasks
from agent_runtime.a2a_server.recorder import TaskRecorder
from agent_runtime.errors import TurnSuperseded
from agent_runtime.graph.outputs import Completed
from agent_runtime.turns import write_behind
from agent_runtime.turns.reports import TurnReport
from agent_runtime.turns.saver import Durability, TurnSaver
from agent_runtime.turns.types import Turn, TurnRequest
from groundwork.postgres.pool import Pool, open_pool
from tests.agent_runtime.a2a_server.test_recorder import Notifications

Graph = CompiledStateGraph[Any, Any, Any, Any]

THREAD: RunnableConfig = {"configurable": {"thread_id": "t"}}


class Odd(TypedDict):
    messages: Annotated[list[AnyMessage], DeltaChannel(_messages_delta_reducer)]
    note: str
    share: float


async def answer(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(f"heard {state['messages'][-1].text}")]}


async def ask(state: MessagesState) -> dict[str, Any]:
    return {"messages": [AIMessage(f"agreed: {interrupt('sure?')}")]}


async def note(state: Odd) -> dict[str, Any]:
    return {"messages": [AIMessage("noted")], "note": "a\0b", "share": float("inf")}


def graph_of(node: Any, saver: AsyncPostgresSaver, state: type = MessagesState) -> Graph:
    return StateGraph(state).add_node("node", node).add_edge(START, "node").compile(checkpointer=saver)


class Engine:
    """Begins and ends turns as the engine does."""

    def __init__(self, pool: Pool) -> None:
        live_tasks = LiveTasks()
        self._pool = pool
        self._recorder = TaskRecorder(live_tasks, task_feed(pool, live_tasks.runs_here), Notifications())

    async def begin(self, thread_id: str = "t") -> Turn:
        request = TurnRequest(thread_id, uuid4().hex, "", "m", HumanMessage("hello"))
        async with self._pool.connection() as conn:
            accepted = await self._recorder.accept(conn, "agent", uuid4(), request)
        accepted.announce()
        return accepted.turn

    async def end(self, turn: Turn, saver: TurnSaver) -> None:
        unsaved = await saver.take()
        async with self._pool.connection() as conn:
            report = TurnReport(turn).ending(Completed())
            (await self._recorder.ended(conn, turn, Completed(), [], unsaved, report))()

    async def run(
        self, text: str, node: Any = answer, state: type = MessagesState, *, durability: Durability = "async"
    ) -> dict[str, Any]:
        turn = await self.begin()
        saver = TurnSaver(self._pool, turn, durability=durability)
        graph = graph_of(node, saver, state)
        result = await graph.ainvoke({"messages": [HumanMessage(text)]}, THREAD, durability=durability)
        await self.end(turn, saver)
        return dict(result)


@pytest.fixture
def engine(pool: Pool) -> Engine:
    return Engine(pool)


def texts(state: dict[str, Any]) -> list[str]:
    return [message.text for message in state["messages"]]


async def stored(pool: Pool, table: str = "checkpoints") -> int:
    async with pool.connection() as conn:
        row = await (await conn.execute(f"SELECT count(*) AS n FROM {table}")).fetchone()
    assert row is not None
    return int(row["n"])


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_it_passes_langgraphs_own_tests_of_savers(
    engine: Engine, pool: Pool, durability: Durability
) -> None:
    @checkpointer_test(name="TurnSaver")
    async def savers() -> AsyncGenerator[TurnSaver, None]:
        yield TurnSaver(pool, await engine.begin(uuid4().hex), durability=durability)

    report = await validate(savers)
    assert report.passed_all_base(), [result.failures for result in report.results.values()]


@pytest.mark.parametrize("durability", ["sync", "async", "exit"])
async def test_langgraphs_saver_reads_what_ours_has_written(
    engine: Engine, pool: Pool, durability: Durability
) -> None:
    await engine.run("one", durability=durability)
    await engine.run("two", durability=durability)
    graph = graph_of(answer, AsyncPostgresSaver(pool))
    assert texts((await graph.aget_state(THREAD)).values) == ["one", "heard one", "two", "heard two"]
    steps = [state.metadata["step"] async for state in graph.aget_state_history(THREAD) if state.metadata]
    assert steps == ([4, 1] if durability == "exit" else [4, 3, 2, 1, 0, -1])


async def test_ours_goes_on_from_what_langgraphs_saver_has_written(engine: Engine, pool: Pool) -> None:
    await engine.run("one")
    stock = graph_of(answer, AsyncPostgresSaver(pool))
    await stock.ainvoke({"messages": [HumanMessage("two")]}, THREAD)
    assert texts(await engine.run("three")) == ["one", "heard one", "two", "heard two", "three", "heard three"]


async def test_both_store_the_same_rows(engine: Engine, pool: Pool) -> None:
    async def rows() -> list[Any]:
        query = (
            "SELECT c.metadata ->> 'step' AS step, c.checkpoint -> 'channel_values' AS inline,"
            " (SELECT count(*) FROM jsonb_object_keys(c.checkpoint -> 'channel_versions')) AS channels,"
            " (SELECT array_agg(ARRAY[w.channel, w.type, w.idx::text] ORDER BY w.task_id, w.idx)"
            "    FROM checkpoint_writes w WHERE w.checkpoint_id = c.checkpoint_id) AS writes,"
            " (SELECT count(*) FROM checkpoint_blobs b WHERE b.thread_id = c.thread_id) AS blobs"
            " FROM checkpoints c WHERE c.thread_id = %s ORDER BY c.checkpoint_id"
        )
        async with pool.connection() as conn:
            return [await (await conn.execute(query, (thread,))).fetchall() for thread in ("t", "stock")]

    await engine.run("one")
    stock = graph_of(answer, AsyncPostgresSaver(pool))
    await stock.ainvoke({"messages": [HumanMessage("one")]}, {"configurable": {"thread_id": "stock"}})
    ours, theirs = await rows()
    assert ours == theirs


async def test_texts_and_numbers_that_json_cannot_say_are_stored_all_the_same(engine: Engine, pool: Pool) -> None:
    await engine.run("hello", note, Odd)
    assert (await engine.run("again", note, Odd))["note"] == "a\0b"
    state = (await graph_of(note, AsyncPostgresSaver(pool), Odd).aget_state(THREAD)).values
    assert (state["note"], state["share"]) == ("a\0b", float("inf"))
    assert texts(state) == ["hello", "noted", "again", "noted"]


async def test_a_quick_run_is_stored_by_the_end_of_its_turn(
    engine: Engine, pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(write_behind, "GATHER_SECONDS", 60)  # quick, however busy the machine is
    turn = await engine.begin()
    saver = TurnSaver(pool, turn)
    await graph_of(answer, saver).ainvoke({"messages": [HumanMessage("one")]}, THREAD, durability="async")
    assert await stored(pool) == 0
    await engine.end(turn, saver)
    assert await stored(pool) == 3


async def test_while_a_step_takes_its_time_what_came_before_it_is_stored(engine: Engine, pool: Pool) -> None:
    async def think(state: MessagesState) -> dict[str, Any]:
        async with asyncio.timeout(10):
            while await stored(pool) < 2:
                await asyncio.sleep(0.01)
        return {"messages": [AIMessage("thought")]}

    assert texts(await engine.run("one", think)) == ["one", "thought"]


async def test_with_sync_a_step_begins_when_what_came_before_it_is_stored(engine: Engine, pool: Pool) -> None:
    seen: list[int] = []

    async def look(state: MessagesState) -> dict[str, Any]:
        seen.append(await stored(pool))
        return {"messages": [AIMessage("looked")]}

    await engine.run("one", look, durability="sync")
    assert seen == [2]


async def test_whoever_reads_through_it_reads_what_was_written(engine: Engine, pool: Pool) -> None:
    saver = TurnSaver(pool, await engine.begin())
    graph = graph_of(ask, saver)
    await graph.ainvoke({"messages": [HumanMessage("one")]}, THREAD, durability="async")
    (question,) = (await graph.aget_state(THREAD)).interrupts
    assert question.value == "sure?"


async def test_nothing_is_stored_for_a_turn_that_is_no_longer_ours(engine: Engine, pool: Pool) -> None:
    saver = TurnSaver(pool, await engine.begin())
    async with pool.connection() as conn:
        await conn.execute("UPDATE agent_turns SET attempt = attempt + 1")
    await graph_of(answer, saver).ainvoke({"messages": [HumanMessage("one")]}, THREAD, durability="async")
    with pytest.raises(TurnSuperseded):
        await saver.flush()
    with pytest.raises(TurnSuperseded):
        await saver.take()
    assert [await stored(pool, table) for table in ("checkpoints", "checkpoint_blobs", "checkpoint_writes")] == [
        0,
        0,
        0,
    ]


async def test_what_the_database_does_not_take_is_said_to_whoever_writes_next(engine: Engine, pool: Pool) -> None:
    saver = TurnSaver(pool, await engine.begin())
    config: RunnableConfig = {"configurable": {"thread_id": "t", "checkpoint_ns": "", "checkpoint_id": "\0"}}
    await saver.aput_writes(config, [("note", 1)], "task")
    with pytest.raises(UntranslatableCharacter):
        await saver.flush()
    with pytest.raises(UntranslatableCharacter):
        await saver.aput_writes(config, [("note", 2)], "task")


async def test_without_prepared_statements_it_does_without(database_url: str) -> None:
    async with open_pool(database_url, name="unprepared", max_size=1, prepare_threshold=None) as pool:
        engine = Engine(pool)
        for number in range(8):
            await engine.run(str(number))
        async with pool.connection() as conn:
            assert await (await conn.execute("SELECT name FROM pg_prepared_statements")).fetchall() == []
