"""A dry run counts what the erasure then removes, and an erasure by caller takes that caller's threads alone."""

import random
from functools import partial
from uuid import uuid4

import pytest

from agent_runtime.errors import InvalidValue
from agent_runtime.memory.graph_store import part_of
from agent_runtime.threads import service

RANDOM_STATES = 15


async def fill_at_random(conn, rng: random.Random, thread_id: str) -> None:
    """Puts up to three rows of a claimed thread into each of its tables."""
    for number in range(rng.randrange(4)):
        task = (f"{thread_id} {number}", thread_id)
        await conn.execute(
            "INSERT INTO a2a_tasks (task_id, thread_id, owner_key, state, task)"
            " SELECT %s, thread_id, owner_key, 'COMPLETED', '' FROM agent_threads WHERE thread_id = %s",
            task,
        )
        await conn.execute(
            "INSERT INTO a2a_task_events (task_id, first_version, version, events)"
            " SELECT %s, n, n, '' FROM generate_series(1, %s) AS n",
            (task[0], rng.randrange(3)),
        )
        await conn.execute(
            "INSERT INTO a2a_push_configs (task_id, config_id, config)"
            " SELECT %s, n::text, '' FROM generate_series(1, %s) AS n",
            (task[0], rng.randrange(2)),
        )
    if rng.random() < 0.3:
        await conn.execute(
            "INSERT INTO agent_turns (thread_id, task_id, process_id, status, request)"
            " VALUES (%s, 'task', %s, 'queued', '')",
            (thread_id, uuid4()),
        )
    if rng.random() < 0.5:
        await conn.execute(
            "INSERT INTO persistent_memory (thread_id, owner_key, summary, summarized_messages, last_message_id)"
            " SELECT thread_id, owner_key, 's', 1, 'm' FROM agent_threads WHERE thread_id = %s",
            (thread_id,),
        )
    await conn.execute(
        "INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint)"
        " SELECT %s, n::text, '{}' FROM generate_series(1, %s) AS n",
        (thread_id, rng.randrange(4)),
    )
    await conn.execute(
        "INSERT INTO checkpoint_blobs (thread_id, channel, version, type, blob)"
        " SELECT %s, 'messages', n::text, 'msgpack', '' FROM generate_series(1, %s) AS n",
        (thread_id, rng.randrange(4)),
    )
    await conn.execute(
        "INSERT INTO checkpoint_writes (thread_id, checkpoint_id, task_id, idx, channel, type, blob)"
        " SELECT %s, n::text, 't', 0, 'messages', 'msgpack', '' FROM generate_series(1, %s) AS n",
        (thread_id, rng.randrange(4)),
    )


async def test_a_dry_run_counts_what_the_erasure_then_removes(threads, others, conn, monkeypatch):
    monkeypatch.setattr(service, "ERASE_BATCH", 3)
    rng = random.Random(22)
    await others.claim("theirs", "ada")
    await fill_at_random(conn, rng, "theirs")
    for state in range(RANDOM_STATES):
        names = [f"{state} {number}" for number in range(rng.randrange(1, 7))]
        for name in names:
            await threads.claim(name, rng.choice(["ada", "ben", ""]))
            await fill_at_random(conn, rng, name)
        asks = [
            partial(threads.delete_thread, names[0]),
            partial(threads.delete_of_caller, "ada"),
            threads.delete_all,
        ]
        ask = rng.choice(asks)
        counted = await ask(dry_run=True)
        assert await ask(dry_run=True) == counted, "a dry run has removed something"
        removed = await ask()
        assert (removed.deleted, removed.also_deleted) == (counted.deleted, counted.also_deleted)
        await threads.delete_all()
    assert (await others.delete_all()).threads == 1


async def test_a_callers_threads_go_and_nobody_elses(threads, others, forgotten):
    for name, caller in [("a1", "ada"), ("b1", "ben"), ("a2", "ada"), ("anonymous", "")]:
        await threads.claim(name, caller)
    await others.claim("theirs", "ada")
    assert (await threads.delete_of_caller("ada")).threads == 2
    assert sorted(forgotten) == ["a1", "a2"]
    assert (await threads.list_threads(10, None)).threads == ["b1", "anonymous"]
    assert (await others.list_threads(10, None)).threads == ["theirs"]
    with pytest.raises(InvalidValue, match="anonymous"):
        await threads.delete_of_caller("")


async def test_what_is_stored_under_a_callers_name_goes_with_the_callers_threads(threads, conn):
    for agent, namespace in [("mine", "ada.notes"), ("mine", "notes.ada"), ("mine", "adam"), ("theirs", "ada")]:
        await conn.execute(
            "INSERT INTO store (prefix, key, value) VALUES (%s, 'tea', '{}')", (f"{part_of(agent)}.{namespace}",)
        )
    counted = await threads.delete_of_caller("ada", dry_run=True)
    erased = await threads.delete_of_caller("ada")
    assert counted.also_deleted["store"] == erased.also_deleted["store"] == 2
    left = await (await conn.execute("SELECT substr(prefix, 34) AS namespace FROM store ORDER BY 1")).fetchall()
    assert [row["namespace"] for row in left] == ["ada", "adam"]
