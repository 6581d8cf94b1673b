"""Turns change hands without being run more often than needed, and one bad turn does not hold up the others."""

import asyncio
import time
from pathlib import Path
from types import SimpleNamespace
from uuid import uuid4

import psycopg
import pytest
from langgraph.checkpoint.base import id as checkpoint_ids

from groundwork.postgres.pool import Pool
from tests.agent_runtime.turns.test_deletion import begun
from tests.agent_runtime.turns.test_order import finished, queue
from tests.agents import SCRIPTED, running_agent, write_project
from tests.databases import until_somebody_waits

STOPS_SLOWLY = """
import asyncio
from pathlib import Path

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

HERE = Path(__file__).parent

async def answer(state: MessagesState):
    with (HERE / "journal").open("a") as journal:
        journal.write("begin\\n")
    try:
        while not (HERE / "release-it").exists():
            await asyncio.sleep(0.02)
    finally:
        await asyncio.sleep(0.3)
    return {"messages": [AIMessage("done")]}

graph = StateGraph(MessagesState)
graph.add_node(answer)
graph.add_edge(START, "answer")
"""


async def lose_to_a_dead_process(pool: Pool) -> None:
    """As if another process had taken every turn over, some time ago, and had died."""
    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE agent_turns SET process_id = %s, attempt = attempt + 1,"
            " accepted_at = now() - interval '1 minute'",
            (uuid4(),),
        )


async def test_a_turn_that_comes_back_before_its_first_attempt_has_stopped_is_run_once_more_only(
    tmp_path: Path, database_url: str, pool: Pool
) -> None:
    async with running_agent(write_project(tmp_path, STOPS_SLOWLY), database_url) as agent:
        task = await queue(agent, "one", "go")
        while not agent.journal():
            await asyncio.sleep(0.02)
        await lose_to_a_dead_process(pool)
        await asyncio.sleep(2)
        agent.release("it")
        assert (await asyncio.wait_for(finished(agent, task), 10))["status"]["state"] == "TASK_STATE_COMPLETED"
        assert agent.journal() == ["begin", "begin"]


async def test_a_turn_whose_message_cannot_be_read_is_failed_and_the_others_are_resumed(
    tmp_path: Path, database_url: str, pool: Pool
) -> None:
    async with running_agent(write_project(tmp_path, SCRIPTED), database_url) as agent:
        bad, good = await queue(agent, "bad", "hold bad"), await queue(agent, "good", "hold good")
        await begun(agent, "hold bad")
        await begun(agent, "hold good")
        async with pool.connection() as conn:
            await conn.execute("UPDATE agent_turns SET request = '{}' WHERE thread_id = 'bad'")
        await lose_to_a_dead_process(pool)
        agent.release("good")
        assert (await asyncio.wait_for(finished(agent, good), 10))["status"]["state"] == "TASK_STATE_COMPLETED"
        assert (await asyncio.wait_for(finished(agent, bad), 10))["status"]["state"] == "TASK_STATE_FAILED"


async def test_a_queued_turn_that_cannot_be_started_does_not_stop_the_others(
    tmp_path: Path, database_url: str, pool: Pool
) -> None:
    async with running_agent(write_project(tmp_path, SCRIPTED), database_url) as agent:
        first = {name: await queue(agent, name, f"hold {name}") for name in ("bad", "good")}
        await queue(agent, "bad", "say no")
        good = await queue(agent, "good", "say yes")
        async with pool.connection() as conn:
            # What this process knows of the queued tasks goes with the takeover, so it has to read this.
            await conn.execute(
                "UPDATE a2a_tasks SET task = '\\xff' WHERE thread_id = 'bad' AND task_id <> %s", (first["bad"],)
            )
        await lose_to_a_dead_process(pool)
        agent.release("bad")
        await asyncio.wait_for(finished(agent, first["bad"]), 10)
        await asyncio.sleep(0.5)
        agent.release("good")
        assert (await asyncio.wait_for(finished(agent, good), 10))["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_a_turn_on_a_machine_whose_clock_is_behind_follows_the_turns_before_it(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with running_agent(write_project(tmp_path, SCRIPTED), database_url) as agent:
        await agent.ask("say one", "one")
        # Another process, on such a machine: it has made no checkpoint yet.
        monkeypatch.setattr(checkpoint_ids, "_last_v6_timestamp", None)
        late = SimpleNamespace(time_ns=lambda: time.time_ns() - 60 * 10**9)
        monkeypatch.setattr(checkpoint_ids, "time", late)
        await agent.ask("say two", "one")
        said = [message["content"] for message in await agent.messages("one")]
    assert said == ["say one", "one", "say two", "two"]


async def test_a_turn_whose_end_is_under_way_when_the_time_is_up_ends(
    tmp_path: Path, database_url: str, pool: Pool
) -> None:
    async with running_agent(write_project(tmp_path, SCRIPTED), database_url) as agent, pool.connection() as conn:
        await queue(agent, "one", "hold it")
        while not agent.journal():
            await asyncio.sleep(0.02)
        async with await psycopg.AsyncConnection.connect(database_url) as locking:
            await locking.execute("LOCK TABLE a2a_tasks IN EXCLUSIVE MODE")
            draining = asyncio.create_task(agent.runtime.turns.drain(0.3))
            agent.release("it")
            await until_somebody_waits(conn)
            await draining
            await locking.rollback()
        async with asyncio.timeout(5):
            while await (await conn.execute("SELECT turn_id FROM agent_turns")).fetchall():
                await asyncio.sleep(0.02)
        tasks = await (await conn.execute("SELECT state FROM a2a_tasks")).fetchall()
    assert tasks == [{"state": "COMPLETED"}]
    assert agent.journal() == ["begin hold it", "end hold it"]
