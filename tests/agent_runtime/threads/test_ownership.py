"""Every thread has one owner: whoever claims it first, until its owner's id is changed."""

import asyncio
from uuid import uuid4

import pytest

from agent_runtime.errors import (
    AgentStillAlive,
    InvalidValue,
    MigrationConcernsOthers,
    ThreadNotOurs,
    ThreadOfAnotherCaller,
    ThreadUnclaimed,
)
from agent_runtime.threads import service
from agent_runtime.threads.service import Threads
from agent_runtime.threads.store import claim_thread, ensure_owner_key


async def listed(threads: Threads) -> list[str]:
    return (await threads.list_threads(1000, None)).threads


async def announce(conn, agent_id: str, *, seconds: float = 60, process_id=None) -> None:
    await conn.execute(
        "INSERT INTO agent_processes (process_id, agent_id, lease_until)"
        " VALUES (%s, %s, now() + make_interval(secs => %s))",
        (process_id or uuid4(), agent_id, seconds),
    )


async def test_claiming_a_thread_twice_is_harmless(threads):
    await threads.claim("t")
    await threads.claim("t")
    assert await listed(threads) == ["t"]


async def test_another_agents_thread_cannot_be_claimed(threads, others):
    await others.claim("t")
    with pytest.raises(ThreadNotOurs):
        await threads.claim("t")


async def test_another_callers_thread_cannot_be_claimed(threads):
    await threads.claim("t", "ada")
    for caller in ("bob", ""):
        with pytest.raises(ThreadOfAnotherCaller):
            await threads.claim("t", caller)


async def test_of_many_agents_that_race_for_a_thread_one_gets_it(pool):
    agents = [Threads(pool, f"agent-{number}", forget=lambda thread_ids: None) for number in range(8)]
    results = await asyncio.gather(*(agent.claim("t") for agent in agents), return_exceptions=True)
    assert sum(result is None for result in results) == 1
    assert sum(isinstance(result, ThreadNotOurs) for result in results) == 7
    assert [await listed(agent) for agent in agents].count(["t"]) == 1


async def test_replicas_that_start_at_once_all_find_a_key(pool):
    async def start() -> int:
        async with pool.connection() as conn, conn.transaction():
            return await ensure_owner_key(conn, "mine")

    await asyncio.gather(*(start() for _ in range(10)))
    async with pool.connection() as conn:
        keys = await (await conn.execute("SELECT min(owner_key) AS smallest FROM agent_owners")).fetchone()
        assert await ensure_owner_key(conn, "mine") == keys["smallest"]


async def test_a_claim_holds_the_thread_until_its_transaction_ends(pool):
    order = []

    async def accept(name: str) -> None:
        async with pool.connection() as conn, conn.transaction():
            await claim_thread(conn, "mine", "t", "")
            order.append(f"{name} in")
            await asyncio.sleep(0.05)
            order.append(f"{name} out")

    await asyncio.gather(*(accept(name) for name in "abc"))
    assert [entry.split()[1] for entry in order] == ["in", "out"] * 3


async def test_a_claim_returns_the_summary(threads, conn):
    await threads.claim("t")
    async with conn.transaction():
        thread = await claim_thread(conn, "mine", "t", "")
        assert thread.summary is None
    await conn.execute(
        "INSERT INTO persistent_memory (thread_id, owner_key, summary, summarized_messages, last_message_id)"
        " VALUES ('t', %s, 'They like tea.', 3, 'm')",
        (thread.owner_key,),
    )
    async with conn.transaction():
        assert (await claim_thread(conn, "mine", "t", "")).summary == "They like tea."


async def test_a_message_does_not_lay_open_the_thread_of_another_program(threads, talk, conn):
    await talk("stray")
    with pytest.raises(ThreadUnclaimed):
        async with conn.transaction():
            await claim_thread(conn, "mine", "stray", "")
    assert await listed(threads) == []


async def test_a_host_can_claim_the_threads_it_has_written(threads, talk):
    await talk("stray")
    await threads.claim("stray")
    assert len((await threads.get_messages("stray")).messages) == 2


async def test_a_migration_moves_every_thread_with_its_memory(threads, others, talk, conn):
    for number in range(3):
        await others.claim(f"t{number}")
        await talk(f"t{number}")
    assert await threads.migrate_agent_id("theirs", "mine") == 3
    assert await listed(threads) == ["t0", "t1", "t2"]
    assert await listed(others) == []
    assert len((await threads.get_messages("t1")).messages) == 2
    await threads.delete_thread("t1")


async def test_a_migration_merges_and_can_be_repeated(threads, others):
    await threads.claim("a")
    await others.claim("b")
    await threads.claim("c")
    assert await threads.migrate_agent_id("theirs", "mine") == 1
    assert await threads.migrate_agent_id("theirs", "mine") == 0
    assert await listed(threads) == ["a", "b", "c"]


async def test_an_agent_can_give_its_own_threads_away(threads, others):
    await threads.claim("a")
    assert await threads.migrate_agent_id("mine", "theirs") == 1
    assert await listed(others) == ["a"]
    await threads.claim("new")
    assert (await listed(threads), await listed(others)) == (["new"], ["a"])


async def test_a_migration_between_ids_that_are_none_or_the_same_is_refused(threads):
    for old_id, new_id, field in (
        ("", "mine", "old_id"),
        ("mine", "", "new_id"),
        ("mine", "mine", "new_id"),
        ("a b", "mine", "old_id"),
        ("mine", "a/b", "new_id"),
    ):
        with pytest.raises(InvalidValue) as caught:
            await threads.migrate_agent_id(old_id, new_id)
        assert caught.value.field == field


async def test_a_migration_between_two_other_agents_is_refused(threads):
    with pytest.raises(MigrationConcernsOthers):
        await threads.migrate_agent_id("a", "b", force=True)


async def test_an_agent_that_is_alive_is_only_migrated_by_force(threads, others, conn):
    await others.claim("t")
    await announce(conn, "theirs")
    with pytest.raises(AgentStillAlive):
        await threads.migrate_agent_id("theirs", "mine")
    assert await listed(others) == ["t"]
    assert await threads.migrate_agent_id("theirs", "mine", force=True) == 1


async def test_an_agent_whose_lease_has_run_out_can_be_migrated(threads, others, conn):
    await others.claim("t")
    await announce(conn, "theirs", seconds=-1)
    assert await threads.migrate_agent_id("theirs", "mine") == 1


async def test_the_process_that_migrates_does_not_stand_in_its_own_way(pool, conn):
    process_id = uuid4()
    threads = Threads(pool, "mine", forget=lambda thread_ids: None, process_id=process_id)
    await announce(conn, "mine", process_id=process_id)
    assert await threads.migrate_agent_id("mine", "theirs") == 0
    await announce(conn, "mine")
    with pytest.raises(AgentStillAlive):
        await threads.migrate_agent_id("mine", "theirs")


async def test_of_two_migrations_at_once_one_moves_everything(threads, others):
    for number in range(20):
        await others.claim(f"t{number}")
    moved = await asyncio.gather(*(threads.migrate_agent_id("theirs", "mine") for _ in range(4)))
    assert sorted(moved) == [0, 0, 0, 20]


async def test_what_a_migration_counts_is_what_it_moves_while_threads_come_and_go(threads, others):
    for number in range(30):
        await others.claim(f"t{number}")
    claims = [others.claim(f"new {number}") for number in range(20)]
    deletions = [others.delete_thread(f"t{number}") for number in range(10)]
    moved, *rest = await asyncio.gather(
        threads.migrate_agent_id("theirs", "mine"), *claims, *deletions, return_exceptions=True
    )
    refused = [result for result in rest if isinstance(result, Exception)]
    assert all(isinstance(error, ThreadNotOurs) for error in refused)
    assert moved == len(await listed(threads))
    assert len(await listed(threads)) + len(await listed(others)) == 50 - (10 - len(refused))


async def test_threads_of_other_programs_are_adopted_oldest_first(threads, others, talk):
    for thread_id in ("b", "a", "c"):
        await talk(thread_id)
    await others.claim("c")
    await threads.claim("a")
    assert await threads.adopt(dry_run=True) == 1
    assert await listed(threads) == ["a"]
    await talk("0")
    assert await threads.adopt() == 2
    assert await threads.adopt() == 0
    assert await listed(threads) == ["a", "b", "0"]


async def test_adoption_goes_by_the_letter_of_the_prefix_and_in_batches(threads, talk, monkeypatch):
    monkeypatch.setattr(service, "ADOPT_BATCH", 2)
    for thread_id in ("a_1", "a_2", "a_3", "a_4", "a_5", "ab1", "a%", "b"):
        await talk(thread_id)
    assert await threads.adopt("a_", dry_run=True) == 5
    assert await threads.adopt("a_") == 5
    assert sorted(await listed(threads)) == ["a_1", "a_2", "a_3", "a_4", "a_5"]


async def test_ids_that_no_thread_of_ours_can_have_are_left_alone(threads, talk):
    await talk("a\nb")
    await talk("x" * 256)
    assert await threads.adopt(dry_run=True) == 0
    assert await threads.adopt() == 0


async def test_threads_of_the_time_before_the_agent_had_an_id_are_adopted(
    pool, threads, others, conn, talk, monkeypatch
):
    monkeypatch.setattr(service, "ADOPT_BATCH", 2)
    unnamed = Threads(pool, "", forget=lambda thread_ids: None)
    for number in range(5):
        await unnamed.claim(f"t{number}")
    await unnamed.claim("u")
    await talk("t0")
    with pytest.raises(ThreadNotOurs):
        await threads.get_messages("t0")
    assert await threads.adopt("t", dry_run=True) == 5
    assert await threads.adopt("t") == 5
    assert await listed(threads) == [f"t{number}" for number in range(5)]
    assert await listed(unnamed) == ["u"]
    assert len((await threads.get_messages("t0")).messages) == 2


async def test_debris_of_threads_is_swept_and_threads_are_not(threads, talk, conn, monkeypatch):
    monkeypatch.setattr(service, "SWEEP_BATCH", 2)
    for number in range(5):
        await talk(f"debris {number}")
    await talk("of another program")
    await threads.claim("without a checkpoint yet")
    await talk("without a checkpoint yet")
    await conn.execute("DELETE FROM checkpoints WHERE thread_id LIKE 'debris%' OR thread_id LIKE 'without%'")

    found = await threads.sweep_orphans(dry_run=True)
    assert found["checkpoint_blobs"] >= 5
    assert found["checkpoint_writes"] >= 5
    assert await threads.sweep_orphans(dry_run=False, settle_seconds=0) == found
    assert await threads.sweep_orphans(dry_run=False, settle_seconds=0) == {
        "checkpoint_blobs": 0,
        "checkpoint_writes": 0,
    }
    for table in ("checkpoint_blobs", "checkpoint_writes"):
        left = await (await conn.execute(f"SELECT DISTINCT thread_id FROM {table} ORDER BY 1")).fetchall()
        assert [row["thread_id"] for row in left] == ["of another program", "without a checkpoint yet"]


async def test_a_thread_that_is_just_beginning_is_not_swept(threads, talk, conn):
    await talk("slow")
    await conn.execute("CREATE TABLE kept AS SELECT * FROM checkpoints")
    await conn.execute("DELETE FROM checkpoints")
    sweep = asyncio.create_task(threads.sweep_orphans(dry_run=False, settle_seconds=0.3))
    await asyncio.sleep(0.1)
    await conn.execute("INSERT INTO checkpoints SELECT * FROM kept")
    assert await sweep == {"checkpoint_blobs": 0, "checkpoint_writes": 0}
