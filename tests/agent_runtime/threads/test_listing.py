"""Listing is quick however many threads there are, and shows an agent its own, whole and in order."""

import json

import pytest

from agent_runtime.errors import InvalidValue
from agent_runtime.threads.store import ensure_owner_key, sql
from tests.plans import nodes as nodes_of


async def test_threads_are_listed_in_order_of_creation(threads):
    for thread_id in ("b", "a", "ü/1", "c"):
        await threads.claim(thread_id)
    page = await threads.list_threads(10, None)
    assert (page.threads, page.next_cursor) == (["b", "a", "ü/1", "c"], None)


async def test_another_agents_threads_are_not_listed(threads, others):
    await threads.claim("ours")
    await others.claim("theirs")
    assert (await threads.list_threads(10, None)).threads == ["ours"]


async def test_threads_without_an_owner_are_not_listed(threads, talk):
    await talk("stray")
    assert (await threads.list_threads(10, None)).threads == []


async def test_pages_follow_each_other_without_gap_or_repetition(threads, others):
    expected = [f"thread {number}" for number in range(7)]
    for thread_id in expected:
        await threads.claim(thread_id)
        await others.claim(f"their {thread_id}")
    seen, cursor = [], None
    while True:
        page = await threads.list_threads(3, cursor)
        seen.append(page.threads)
        if (cursor := page.next_cursor) is None:
            break
    assert seen == [expected[:3], expected[3:6], expected[6:]]


async def test_the_last_full_page_has_no_cursor(threads):
    for thread_id in ("a", "b"):
        await threads.claim(thread_id)
    assert (await threads.list_threads(2, None)).next_cursor is None


async def test_the_listing_goes_over_all_owner_keys_in_one_order(threads, others):
    for number in range(3):
        await others.claim(f"theirs {number}")
        await threads.claim(f"mine {number}")
    await threads.migrate_agent_id("theirs", "mine")
    expected = [f"{whose} {number}" for number in range(3) for whose in ("theirs", "mine")]
    assert [page async for page in threads.stream_threads(page_size=4)] == [expected[:4], expected[4:]]


async def test_a_cursor_that_no_page_gave_out_is_refused(threads):
    for cursor in ("", "x", "AAAA", "é", "_" * 12, "AQAAAAAAAAAA", "AQAAAAAAAAAB\n", "1"):
        with pytest.raises(InvalidValue) as caught:
            await threads.list_threads(10, cursor)
        assert caught.value.field == "cursor"


async def test_streaming_holds_no_connection_between_pages(threads, pool):
    for thread_id in ("a", "b", "c"):
        await threads.claim(thread_id)
    async for _ in threads.stream_threads(page_size=1):
        stats = pool.get_stats()
        assert stats["pool_available"] == stats["pool_size"]


async def test_with_100_000_threads_a_page_is_read_from_the_index_alone(threads, conn):
    keys = [await ensure_owner_key(conn, agent_id) for agent_id in ("mine", "theirs")]
    await conn.execute(
        "INSERT INTO agent_threads (thread_id, owner_key)"
        " SELECT 'thread ' || n, CASE WHEN n %% 2 = 0 THEN %s ELSE %s END FROM generate_series(1, 100000) AS n",
        keys,
    )
    await conn.execute("INSERT INTO agent_owners (agent_id) VALUES ('mine'), ('mine')")
    await conn.execute("VACUUM ANALYZE agent_threads")

    cursor = await conn.execute(
        "EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) " + sql.list_threads,
        {"agent_id": "mine", "after": 70_000, "limit": 51},
    )
    row = await cursor.fetchone()
    plan = row["QUERY PLAN"][0]["Plan"]
    nodes = list(nodes_of(plan))
    (on_threads,) = [node for node in nodes if node.get("Relation Name") == "agent_threads"]
    assert on_threads["Node Type"] == "Index Only Scan"
    assert on_threads["Heap Fetches"] == 0
    assert {node["Relation Name"] for node in nodes if "Relation Name" in node} == {
        "agent_threads",
        "agent_owners",
    }
    assert plan["Shared Hit Blocks"] + plan["Shared Read Blocks"] < 40, json.dumps(plan, indent=1)
    assert [len(page) async for page in threads.stream_threads(page_size=20_000)] == [20_000, 20_000, 10_000]
