"""Records of turns and keys of messages go when their days are over, in one sweep of all processes."""

import asyncio
from collections import Counter

import pytest

from agent_runtime.storage import old_rows
from agent_runtime.storage.old_rows import OldRows
from agent_runtime.threads.service import Threads
from groundwork.postgres.pool import Pool


async def test_one_sweep_of_all_processes_removes_what_is_old_and_nothing_else(
    pool: Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(old_rows, "BATCH", 2)
    for agent in ("mine", "theirs"):
        await Threads(pool, agent, forget=lambda thread_ids: None).claim(agent)
    async with pool.connection() as conn:
        for thread in ("mine", "theirs"):
            for number, age in enumerate([9, 9, 9, 0]):
                await conn.execute(
                    "INSERT INTO agent_message_keys (key, digest, thread_id, task_id, created_at)"
                    " VALUES (%s, '', %s, 't', now() - make_interval(days => %s))",
                    (f"{thread} {number}".encode(), thread, age),
                )
    removed: Counter[str] = Counter()
    sweeps = [OldRows(pool, "mine", record_days=1, key_hours=24, removed=removed.update) for _ in range(3)]
    await asyncio.gather(*(sweep.work() for sweep in sweeps))
    async with pool.connection() as conn:
        left = await (await conn.execute("SELECT thread_id FROM agent_message_keys ORDER BY 1")).fetchall()
        await conn.execute("UPDATE agent_message_keys SET created_at = now() - interval '9 days'")
    assert [row["thread_id"] for row in left] == ["mine", *["theirs"] * 4]
    await sweeps[0].work()  # no pass is due within the hour
    assert removed == {"agent_message_keys": 3}
