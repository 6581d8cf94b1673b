"""Lists come whole, in constant memory, or in pages."""

import asyncio
import tracemalloc

import httpx

from admin_api import MountedAgent
from groundwork.postgres.pool import Pool
from tests.admin_api.answers import data_of, error_of, outcome
from tests.admin_api.conftest import Talk

THREADS = "/api/v1/memory/threads"


async def claim_many(pool: Pool, agent: MountedAgent, count: int) -> None:
    """Makes threads `t-1` to `t-count` the agent's."""
    await agent.threads.claim("t-1")
    async with pool.connection() as conn:
        await conn.execute(
            "INSERT INTO agent_threads (thread_id, owner_key)"
            " SELECT 't-' || n, owner_key FROM agent_threads, generate_series(2, %s) n",
            (count,),
        )


async def test_pages_of_threads_join_up_to_the_whole_list(
    client: httpx.AsyncClient, agent: MountedAgent, pool: Pool
) -> None:
    await claim_many(pool, agent, 7)
    threads: list[str] = []
    page = data_of(await client.get(THREADS, params={"limit": 3}))
    while True:
        assert list(page) == ["agent_id", "threads", "next_cursor"]
        threads += page["threads"]
        if page["next_cursor"] is None:
            break
        page = data_of(await client.get(THREADS, params={"limit": 3, "cursor": page["next_cursor"]}))
    assert threads == data_of(await client.get(THREADS))["threads"] == [f"t-{n}" for n in range(1, 8)]


async def test_a_cursor_alone_asks_for_a_page_of_the_usual_length(
    client: httpx.AsyncClient, agent: MountedAgent, pool: Pool
) -> None:
    await claim_many(pool, agent, 150)
    cursor = data_of(await client.get(THREADS, params={"limit": 10}))["next_cursor"]
    page = data_of(await client.get(THREADS, params={"cursor": cursor}))
    assert page["threads"] == [f"t-{n}" for n in range(11, 111)]
    assert page["next_cursor"] is not None


async def test_an_agent_without_threads_has_an_empty_list(client: httpx.AsyncClient) -> None:
    assert data_of(await client.get(THREADS)) == {"agent_id": "my-agent", "threads": []}
    assert data_of(await client.get(THREADS, params={"limit": 1}))["next_cursor"] is None


async def test_all_of_many_threads_are_streamed_in_constant_memory(
    client: httpx.AsyncClient, agent: MountedAgent, pool: Pool
) -> None:
    await claim_many(pool, agent, 50_000)
    tracemalloc.start()
    size = 0
    async with client.stream("GET", THREADS) as answer:
        async for chunk in answer.aiter_raw():
            size += len(chunk)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size > 400_000
    assert peak < 2_000_000  # a list of them alone takes more than three
    assert len(data_of(await client.get(THREADS))["threads"]) == 50_000


async def test_a_client_that_leaves_in_the_middle_of_the_list_costs_no_connection(
    client: httpx.AsyncClient, agent: MountedAgent, pool: Pool
) -> None:
    await claim_many(pool, agent, 50_000)
    for _ in range(12):
        async with client.stream("GET", THREADS) as answer:
            await anext(answer.aiter_raw())
    async with asyncio.timeout(5):
        assert data_of(await client.get(THREADS, params={"limit": 1}))["threads"] == ["t-1"]


async def test_pages_of_messages_go_backwards(client: httpx.AsyncClient, agent: MountedAgent, talk: Talk) -> None:
    await talk(agent, "t", "one", "two", "three")
    path = f"{THREADS}/t/messages"
    whole = data_of(await client.get(path))
    assert list(whole) == ["thread_id", "messages"]

    last = data_of(await client.get(path, params={"limit": 4}))
    first = data_of(await client.get(path, params={"limit": 4, "before": last["next_before"]}))
    assert first["messages"] + last["messages"] == whole["messages"]
    assert first["next_before"] is None
    assert data_of(await client.get(path, params={"before": 1}))["messages"] == whole["messages"][:1]


WRONG = {
    f"{THREADS}?limit=0": "limit",
    f"{THREADS}?limit=1001": "limit",
    f"{THREADS}?limit=": "limit",
    f"{THREADS}?limit=1.0": "limit",
    f"{THREADS}?limit=%2B1": "limit",
    f"{THREADS}?limit=1_0": "limit",
    f"{THREADS}?limit=%D9%A1": "limit",  # a digit, but not one of ASCII
    f"{THREADS}?limit=99999999999999999999": "limit",
    f"{THREADS}?limit=1&limit=2": "limit",
    f"{THREADS}?cursor=nonsense": "cursor",
    f"{THREADS}?cursor=": "cursor",
    f"{THREADS}?cursor=%00": "cursor",
    f"{THREADS}?page=2": "page",
    f"{THREADS}/t/messages?limit=0": "limit",
    f"{THREADS}/t/messages?before=-1": "before",
    f"{THREADS}/t/messages?before=x": "before",
    f"{THREADS}/t/messages?after=1": "after",
    "/api/v1/status?verbose=1": "verbose",
    "/status?verbose=1": "verbose",
    "/api/v1/card/url?x": "x",
    "/api/v1/memory/config?x=": "x",
}


async def test_a_query_parameter_that_is_wrong_is_named(idle_client: httpx.AsyncClient) -> None:
    for path, field in WRONG.items():
        answer = await idle_client.get(path)
        assert outcome(answer) == (400, "INVALID_PARAM"), path
        assert error_of(answer)["field"] == field


async def test_every_wrong_parameter_is_named(idle_client: httpx.AsyncClient) -> None:
    error = error_of(await idle_client.get(THREADS, params={"limit": "x", "page": "2"}))
    assert error["fields"] == ["limit", "page"]
    assert error["message"] == (
        "limit must be an integer from 1 to 1000; page is not known here; accepted: limit, cursor, states"
    )
