"""Deleting a thread is final, whatever is running on it, wherever."""

import asyncio
from pathlib import Path

from psycopg import sql

from groundwork.postgres.pool import Pool
from tests.agents import SCRIPTED, Agent, running_agent, write_project


async def rows_of(pool: Pool, thread_id: str) -> dict[str, int]:
    """How many rows every table with a thread id holds for the thread; tables without any are left out."""
    async with pool.connection() as conn:
        tables = await (
            await conn.execute(
                "SELECT table_name FROM information_schema.columns"
                " WHERE column_name = 'thread_id' AND table_schema = 'public'"
            )
        ).fetchall()
        counts = {}
        for table in tables:
            query = sql.SQL("SELECT count(*) AS n FROM {} WHERE thread_id = %s").format(
                sql.Identifier(table["table_name"])
            )
            row = await (await conn.execute(query, (thread_id,))).fetchone()
            assert row is not None
            counts[table["table_name"]] = row["n"]
    return {table: count for table, count in counts.items() if count}


async def begun(agent: Agent, text: str) -> None:
    while f"begin {text}" not in agent.journal():
        await asyncio.sleep(0.02)


async def delete(agent: Agent, thread_id: str) -> None:
    response = await agent.http.delete(f"/api/v1/memory/threads/{thread_id}")
    assert response.status_code == 200, response.text


async def test_a_thread_deleted_in_the_middle_of_its_turn_leaves_no_row_anywhere(
    tmp_path: Path, database_url: str, pool: Pool
) -> None:
    async with running_agent(write_project(tmp_path, SCRIPTED), database_url) as agent:
        await agent.ask("say before", "doomed")
        turn = asyncio.create_task(agent.rpc("SendMessage", _message("hold it")))
        await begun(agent, "hold it")
        await delete(agent, "doomed")
        assert "error" in await asyncio.wait_for(turn, 10)
        await asyncio.sleep(0.3)
        agent.release("it")  # nobody is waiting for it any more
        await asyncio.sleep(0.1)
        assert "end hold it" not in agent.journal()
        assert await rows_of(pool, "doomed") == {}


async def test_a_turn_on_another_replica_cannot_bring_a_deleted_thread_back(
    tmp_path: Path, database_url: str, pool: Pool
) -> None:
    directory = write_project(tmp_path, SCRIPTED)
    async with running_agent(directory, database_url) as one, running_agent(directory, database_url) as two:
        turn = asyncio.create_task(one.rpc("SendMessage", _message("hold it")))
        await begun(one, "hold it")
        await delete(two, "doomed")
        one.release("it")
        assert "error" in await asyncio.wait_for(turn, 10)
        await asyncio.sleep(0.3)
        assert await rows_of(pool, "doomed") == {}


async def test_a_thread_can_be_used_again_after_its_deletion(tmp_path: Path, database_url: str) -> None:
    async with running_agent(write_project(tmp_path, SCRIPTED), database_url) as agent:
        await agent.ask("say before", "doomed")
        await delete(agent, "doomed")
        await agent.ask("say after", "doomed")
        assert [message["content"] for message in await agent.messages("doomed")] == ["say after", "after"]


async def test_deletions_and_turns_at_random_leave_only_what_was_said_last(
    tmp_path: Path, database_url: str, pool: Pool
) -> None:
    async with running_agent(write_project(tmp_path, SCRIPTED), database_url) as agent:
        for _ in range(5):
            turns = [asyncio.create_task(agent.rpc("SendMessage", _message("sleep 0.01"))) for _ in range(5)]
            await asyncio.sleep(0.02)
            await agent.http.delete("/api/v1/memory/threads/doomed")
            await asyncio.gather(*turns)
        await agent.http.delete("/api/v1/memory/threads/doomed")
        assert await rows_of(pool, "doomed") == {}


def _message(text: str) -> dict[str, object]:
    return {"message": {"messageId": text, "role": "ROLE_USER", "contextId": "doomed", "parts": [{"text": text}]}}
