"""Threads that nobody uses end; those that are busy, wait, or were used lately do not."""

import asyncio
import logging
from uuid import uuid4

import pytest

from agent_runtime.retention import idle
from agent_runtime.retention.idle import IdleThreads
from agent_runtime.threads.service import Threads
from groundwork.postgres.pool import Pool
from tests.agents import SCRIPTED, running_agent, write_project
from tests.stock_graphs import say

DAY = 86_400.0


@pytest.fixture
def threads(pool: Pool) -> Threads:
    return Threads(pool, "mine", forget=lambda thread_ids: None)


def idle_threads(pool: Pool, gone: list[str] | None = None, seconds: float = DAY) -> IdleThreads:
    forget = [] if gone is None else gone
    return IdleThreads(pool, "mine", seconds, forget=forget.extend, ended=lambda erasure: None)


async def left(threads: Threads) -> list[str]:
    return (await threads.list_threads(1000, None)).threads


async def made_long_ago(pool: Pool, *thread_ids: str) -> None:
    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE agent_threads SET created_at = now() - interval '2 days' WHERE thread_id = ANY(%s)",
            (list(thread_ids),),
        )


async def test_only_threads_that_nobody_uses_end(pool: Pool, threads: Threads) -> None:
    for name in ("old", "young", "talked to", "turn", "task", "waits"):
        await threads.claim(name)
    await Threads(pool, "theirs", forget=lambda _: None).claim("theirs")
    await made_long_ago(pool, "old", "talked to", "turn", "task", "waits", "theirs")
    await say(pool, "talked to", "hello")
    async with pool.connection() as conn:
        for name, state, age in [("task", "COMPLETED", 0), ("waits", "INPUT_REQUIRED", 9), ("old", "FAILED", 9)]:
            await conn.execute(
                "INSERT INTO a2a_tasks (task_id, thread_id, owner_key, state, task, status_at)"
                " SELECT %s, thread_id, owner_key, %s, '', now() - make_interval(days => %s)"
                " FROM agent_threads WHERE thread_id = %s",
                (name, state, age, name),
            )
        await conn.execute(
            "INSERT INTO agent_turns (thread_id, task_id, process_id, status, request)"
            " VALUES ('turn', 't', %s, 'queued', '')",
            (uuid4(),),
        )
    gone: list[str] = []
    assert not await idle_threads(pool, gone).step()
    assert gone == ["old"]
    assert await left(threads) == ["young", "talked to", "turn", "task", "waits"]


async def test_a_pass_goes_on_where_another_process_has_left_it(
    pool: Pool, threads: Threads, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(idle, "PAGE", 4)
    names = [f"thread {number}" for number in range(10)]
    for name in names:
        await threads.claim(name)
    await made_long_ago(pool, *names)
    gone: list[str] = []
    with caplog.at_level(logging.INFO):
        assert await idle_threads(pool, gone).step()
        assert gone == names[:4]
        together = await asyncio.gather(*(idle_threads(pool, gone).step() for _ in range(4)))
        while any(together):
            together = await asyncio.gather(*(idle_threads(pool, gone).step() for _ in range(4)))
    assert sorted(gone) == names, "each has ended once"
    assert "idle threads ended threads=2 rows=2 pass_completed=true" in caplog.text
    assert not await idle_threads(pool, gone).step(), "the next pass is not due yet"


async def test_a_thread_that_cannot_be_erased_does_not_keep_the_others(
    pool: Pool, threads: Threads, caplog: pytest.LogCaptureFixture
) -> None:
    for name in ("a", "b", "c"):
        await threads.claim(name)
    await made_long_ago(pool, "a", "b", "c")
    async with pool.connection() as conn:
        await conn.execute("CREATE TABLE notes (thread text REFERENCES agent_threads)")
        await conn.execute("INSERT INTO notes VALUES ('b')")
    await idle_threads(pool).step()
    assert await left(threads) == ["b"]
    assert "ending idle threads failed thread_id=b" in caplog.text


async def test_a_question_keeps_the_thread_of_an_agent_that_ends_the_others(tmp_path, database_url, pool, threads):
    directory = write_project(tmp_path / "agent", SCRIPTED)
    async with running_agent(directory, database_url, thread_ttl_days=1 / DAY) as agent:
        await agent.send("hello", contextId="idle")
        await agent.send("ask which?", contextId="waits")
        async with asyncio.timeout(20):
            while await left(Threads(pool, "test-agent", forget=lambda _: None)) != ["waits"]:
                await asyncio.sleep(0.1)
        assert "agent_idle_threads_ended_total 1.0" in (await agent.http.get("/metrics")).text
