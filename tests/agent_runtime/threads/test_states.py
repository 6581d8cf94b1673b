"""A page of threads says what each of them is doing, and a process that has died keeps none of them busy."""

import asyncio
from pathlib import Path
from uuid import uuid4

from agent_runtime.threads.store import sql
from groundwork.postgres.pool import Pool
from tests.agents import SCRIPTED, Agent, running_agent, text_message, write_project
from tests.plans import scans

THREADS = "/api/v1/memory/threads"


async def states_of(agent: Agent) -> dict[str, str]:
    response = await agent.http.get(THREADS, params={"states": "true"})
    assert response.status_code == 200, response.text
    states: dict[str, str] = response.json()["data"]["states"]
    return states


async def test_a_thread_is_idle_busy_interrupted_or_in_error(tmp_path: Path, database_url: str) -> None:
    async with running_agent(write_project(tmp_path / "agent", SCRIPTED), database_url) as agent:
        await agent.send("hello", contextId="idle")
        asked = (await agent.send("ask which?", contextId="interrupted"))["task"]
        await agent.send("fail now", contextId="error")
        await agent.send("fail now", contextId="well again")
        await agent.send("hello", contextId="well again")
        await agent.rpc(
            "SendMessage",
            {"message": text_message("hold it", contextId="busy"), "configuration": {"returnImmediately": True}},
        )
        assert await states_of(agent) == {
            "idle": "idle",
            "interrupted": "interrupted",
            "error": "error",
            "well again": "idle",
            "busy": "busy",
        }
        agent.release("it")
        await agent.send("this", contextId="interrupted", taskId=asked["id"])
        async with asyncio.timeout(10):
            while (states := await states_of(agent))["busy"] == "busy":
                await asyncio.sleep(0.05)
        assert states == {
            "idle": "idle",
            "interrupted": "idle",
            "error": "error",
            "well again": "idle",
            "busy": "idle",
        }


async def test_a_thread_is_not_busy_beyond_the_lease_of_a_process_that_died(threads, conn) -> None:
    await threads.claim("t")
    process = {"process_id": uuid4()}
    await conn.execute(
        "INSERT INTO agent_processes (process_id, agent_id, lease_until)"
        " VALUES (%(process_id)s, 'mine', now() + interval '1 minute')",
        process,
    )
    await conn.execute(
        "INSERT INTO agent_turns (thread_id, task_id, process_id, status, request)"
        " VALUES ('t', 'task', %(process_id)s, 'running', '')",
        process,
    )
    assert (await threads.list_threads(1, None, states=True)).states == {"t": "busy"}
    await conn.execute("UPDATE agent_processes SET lease_until = now() WHERE process_id = %(process_id)s", process)
    assert (await threads.list_threads(1, None, states=True)).states == {"t": "error"}


async def test_states_come_with_pages_and_only_when_asked_for(tmp_path: Path, database_url: str) -> None:
    async with running_agent(write_project(tmp_path / "agent", SCRIPTED), database_url) as agent:
        for name in ("a", "b", "c"):
            await agent.send("hello", contextId=name)
        page = (await agent.http.get(THREADS, params={"states": "true", "limit": 2})).json()["data"]
        assert list(page) == ["agent_id", "threads", "next_cursor", "states"]
        assert page["states"] == {"a": "idle", "b": "idle"}
        cursor = page["next_cursor"]
        page = (await agent.http.get(THREADS, params={"states": "true", "cursor": cursor})).json()["data"]
        assert page["states"] == {"c": "idle"}
        assert "states" not in (await agent.http.get(THREADS, params={"states": "false"})).json()["data"]
        assert "states" not in (await agent.http.get(THREADS)).json()["data"]
        refused = await agent.http.get(THREADS, params={"states": "yes"})
        assert refused.status_code == 400
        assert "states must be true or false" in refused.json()["error"]["message"]


async def test_states_are_found_by_indexes_and_no_checkpoint_is_read(pool: Pool) -> None:
    async with pool.connection() as conn:
        await conn.execute(
            "INSERT INTO agent_owners (agent_id) VALUES ('mine');"
            "INSERT INTO agent_threads (thread_id, owner_key) SELECT 't-' || n, 1 FROM generate_series(1, 2000) n;"
            "INSERT INTO a2a_tasks (task_id, thread_id, owner_key, state, task)"
            " SELECT t.thread_id || '-' || n, t.thread_id, 1, 'COMPLETED', ''"
            "   FROM agent_threads t, generate_series(1, 20) n;"
            "ANALYZE agent_threads, a2a_tasks"
        )
    given = {"thread_ids": [f"t-{n}" for n in range(1, 101)]}
    async with pool.connection() as conn:
        row = await (
            await conn.execute("SELECT prosrc FROM pg_proc WHERE proname = 'agent_thread_status'")
        ).fetchone()
    assert row is not None
    status = row["prosrc"].replace("the_thread", "'t-1'")
    for table, statement in (("agent_threads", sql.list_states), ("a2a_tasks", status)):
        found = await scans(pool, statement, table, given)
        assert found
        assert all("Index" in scan["Node Type"] or "Bitmap" in scan["Node Type"] for scan in found), found
    assert await scans(pool, sql.list_states, "checkpoints", given) == []
