"""A deleted thread is gone from every table, for good, and nobody else's is touched."""

import asyncio
from uuid import uuid4

import psycopg
import pytest

from agent_runtime.errors import ThreadNotFound, ThreadNotOurs
from agent_runtime.threads import service
from agent_runtime.threads.erasure import ERASED_TABLES, REPORTED_TABLES
from tests.databases import until_somebody_waits

TABLES_OF_A_THREAD = """
WITH RECURSIVE of_a_thread AS (
    SELECT c.oid FROM pg_class c JOIN information_schema.columns i ON i.table_name = c.relname
     WHERE i.column_name IN ('thread_id', 'task_id', 'turn_id', 'context_id')
       AND c.relkind IN ('r', 'p') AND c.relnamespace = 'public'::regnamespace AND i.table_schema = 'public'
    UNION
    SELECT f.conrelid FROM pg_constraint f JOIN of_a_thread t ON f.confrelid = t.oid WHERE f.contype = 'f'
)
SELECT DISTINCT oid::regclass::text AS name FROM of_a_thread
"""


async def fill(conn, thread_id: str) -> int:
    """Puts a row of a claimed thread into every table of ours; returns the id of its turn."""
    task_id = f"task of {thread_id}"
    await conn.execute(
        "INSERT INTO a2a_tasks (task_id, thread_id, owner_key, state, task)"
        " SELECT %s, thread_id, owner_key, 'working', '' FROM agent_threads WHERE thread_id = %s",
        (task_id, thread_id),
    )
    await conn.execute(
        "INSERT INTO a2a_task_events (task_id, first_version, version, events)"
        " VALUES (%s, 1, 1, ''), (%s, 2, 3, '')",
        [task_id] * 2,
    )
    await conn.execute(
        "INSERT INTO a2a_push_configs (task_id, config_id, config) VALUES (%s, 'c', '')", (task_id,)
    )
    await conn.execute(
        "INSERT INTO persistent_memory (thread_id, owner_key, summary, summarized_messages, last_message_id)"
        " SELECT thread_id, owner_key, 's', 1, 'm' FROM agent_threads WHERE thread_id = %s",
        (thread_id,),
    )
    await conn.execute(
        "INSERT INTO agent_runs (run_id, thread_id, graph_id, metadata, asked, strategy)"
        " VALUES (%s, %s, 'agent', '{}', '{}', 'enqueue')",
        (task_id, thread_id),
    )
    await conn.execute(
        "INSERT INTO agent_run_frames (run_id, first_seq, last_seq, frames) VALUES (%s, 1, 1, '[]')", (task_id,)
    )
    await conn.execute("INSERT INTO agent_thread_metadata (thread_id, metadata) VALUES (%s, '{}')", (thread_id,))
    turn_id = await add_turn(conn, thread_id)
    await conn.execute(
        "SELECT record_agent_turn(t, h.owner_key, '', '{\"state\": \"completed\"}')"
        " FROM agent_turns AS t JOIN agent_threads AS h USING (thread_id) WHERE t.turn_id = %s",
        (turn_id,),
    )
    await conn.execute("INSERT INTO agent_peer_tasks (thread_id, peer) VALUES (%s, 'peer')", (thread_id,))
    await conn.execute("SELECT claim_message_key(%s::bytea, 'd', %s, 'task')", (thread_id.encode(), thread_id))
    return turn_id


async def add_turn(conn, thread_id: str) -> int:
    cursor = await conn.execute(
        "INSERT INTO agent_turns (thread_id, task_id, process_id, status, request)"
        " VALUES (%s, 'task', %s, 'running', '') RETURNING turn_id",
        (thread_id, uuid4()),
    )
    turn_id: int = (await cursor.fetchone())["turn_id"]
    return turn_id


async def rows_of(conn, thread_id: str) -> dict[str, int]:
    counts = {}
    for table in ERASED_TABLES:
        key = "task_id" if table.startswith("a2a_") else "run_id" if table == "agent_run_frames" else ""
        named = f"{key} = 'task of ' || %s" if key else "thread_id = %s"
        cursor = await conn.execute(f"SELECT count(*) AS n FROM {table} WHERE {named}", (thread_id,))
        counts[table] = (await cursor.fetchone())["n"]
    return counts


async def test_the_erasure_names_every_table_that_holds_something_of_a_thread(conn):
    tables = await (await conn.execute(TABLES_OF_A_THREAD)).fetchall()
    assert {table["name"] for table in tables} == set(ERASED_TABLES)


async def test_a_deleted_thread_leaves_no_row_and_every_row_is_counted(threads, talk, conn, forgotten):
    for thread_id in ("gone", "kept"):
        await threads.claim(thread_id)
        await talk(thread_id, "one", "two")
        await fill(conn, thread_id)
    before = await rows_of(conn, "gone")
    assert all(before.values())

    erasure = await threads.delete_thread("gone")

    assert {**erasure.deleted, **erasure.also_deleted} == before
    assert tuple(erasure.deleted) == REPORTED_TABLES
    assert not any((await rows_of(conn, "gone")).values())
    assert await rows_of(conn, "kept") == before
    assert forgotten == ["gone"]


async def test_a_thread_without_checkpoints_can_be_deleted(threads):
    await threads.claim("t")
    assert set((await threads.delete_thread("t")).deleted.values()) == {0}


async def test_what_is_not_there_cannot_be_deleted(threads):
    await threads.claim("t")
    await threads.delete_thread("t")
    with pytest.raises(ThreadNotFound):
        await threads.delete_thread("t")


async def test_another_agents_thread_cannot_be_deleted(threads, others, talk, conn, forgotten):
    await others.claim("theirs")
    await talk("theirs")
    before = await rows_of(conn, "theirs")
    with pytest.raises(ThreadNotOurs):
        await threads.delete_thread("theirs")
    assert await rows_of(conn, "theirs") == before
    assert forgotten == []


async def test_a_thread_of_another_program_cannot_be_deleted(threads, talk, conn):
    await talk("stray")
    before = await rows_of(conn, "stray")
    with pytest.raises(ThreadNotFound):
        await threads.delete_thread("stray")
    await threads.delete_all()
    assert await rows_of(conn, "stray") == before


async def test_a_deletion_waits_for_a_turns_write_and_removes_it_too(threads, pool, conn, talk):
    await threads.claim("t")
    await talk("t")
    turn_id = await add_turn(conn, "t")
    async with pool.connection() as writer, writer.transaction():
        await writer.execute("SELECT hold_agent_turn(%s, 1)", (turn_id,))
        deletion = asyncio.create_task(threads.delete_thread("t"))
        await until_somebody_waits(conn)
        await write_checkpoint(writer, "t")
        assert not deletion.done()
    erasure = await deletion
    assert erasure.deleted["checkpoint_blobs"] > 0
    assert not any((await rows_of(conn, "t")).values())


async def test_a_turn_of_a_deleted_thread_can_write_no_more(threads, pool, conn):
    await threads.claim("t")
    turn_id = await add_turn(conn, "t")
    await threads.delete_thread("t")
    await threads.claim("t")  # not even when the thread has been opened again
    await add_turn(conn, "t")
    with pytest.raises(psycopg.DatabaseError) as caught:
        await write_for_turn(pool, turn_id)
    assert caught.value.sqlstate == "AS001"
    assert (await rows_of(conn, "t"))["checkpoints"] == 0


async def test_a_deletion_that_fails_half_way_changes_nothing_and_can_be_repeated(threads, talk, conn, forgotten):
    await threads.claim("t")
    await talk("t")
    await fill(conn, "t")
    before = await rows_of(conn, "t")
    await conn.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'full'; END $$"
    )
    await conn.execute("CREATE TRIGGER refuse BEFORE DELETE ON checkpoints EXECUTE FUNCTION refuse()")
    for deletion in (threads.delete_thread("t"), threads.delete_all()):
        with pytest.raises(psycopg.errors.RaiseException):
            await deletion
    assert await rows_of(conn, "t") == before
    assert (await threads.list_threads(10, None)).threads == ["t"]
    assert forgotten == []

    await conn.execute("DROP TRIGGER refuse ON checkpoints")
    await threads.delete_thread("t")
    assert not any((await rows_of(conn, "t")).values())


async def test_deleting_all_removes_this_agents_threads_only(threads, others, talk, conn, forgotten, monkeypatch):
    monkeypatch.setattr(service, "ERASE_BATCH", 2)
    ours = [f"ours {number}" for number in range(5)]
    for thread_id in (*ours, "theirs"):
        await (others if thread_id == "theirs" else threads).claim(thread_id)
        await talk(thread_id)
    kept = await rows_of(conn, "theirs")
    each = await rows_of(conn, "ours 0")

    erasure = await threads.delete_all()

    removed = {table: 5 * count for table, count in each.items()} | {"store": 0}
    assert {**erasure.deleted, **erasure.also_deleted} == removed
    assert forgotten == ours
    assert (await threads.list_threads(10, None)).threads == []
    assert await rows_of(conn, "theirs") == kept
    assert set((await threads.delete_all()).deleted.values()) == {0}


async def test_two_deletions_of_everything_at_once_do_not_get_in_each_others_way(threads, monkeypatch):
    monkeypatch.setattr(service, "ERASE_BATCH", 3)
    for number in range(20):
        await threads.claim(f"{number * 7 % 20}")
    erasures = await asyncio.gather(threads.delete_all(), threads.delete_all())
    assert sum(erasure.also_deleted["agent_threads"] for erasure in erasures) == 20


async def write_for_turn(pool, turn_id: int) -> None:
    async with pool.connection() as writer, writer.transaction():
        await writer.execute("SELECT hold_agent_turn(%s, 1)", (turn_id,))
        await write_checkpoint(writer, "t")


async def write_checkpoint(conn, thread_id: str) -> None:
    await conn.execute(
        "INSERT INTO checkpoints (thread_id, checkpoint_id, checkpoint) VALUES (%s, 'zzz', '{}')", (thread_id,)
    )
    await conn.execute(
        "INSERT INTO checkpoint_blobs (thread_id, channel, version, type, blob) VALUES (%s, 'c', 'z', 'null', '')",
        (thread_id,),
    )
