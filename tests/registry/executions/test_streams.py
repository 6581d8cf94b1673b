"""An execution is followed as it goes on, by any number of clients, from wherever each was cut off."""

import asyncio
from contextlib import AsyncExitStack

import httpx
import pytest

from groundwork.postgres.pool import Pool
from registry.events import stream as streams
from registry.http import events as event_routes
from tests.processes import registry_process
from tests.registry.executions.runs import REVIEW, TWO_STEPS, approve, events_of, paused, start, until
from tests.registry.executions.streams import following
from tests.registry.registries import Served

TO_THE_REVIEW = ["workflow_started", "node_scheduled", "node_started", "interrupt_raised"]


@pytest.fixture
def http(registry: Served) -> httpx.AsyncClient:
    return registry.http


@pytest.fixture
async def waiting(http: httpx.AsyncClient) -> str:
    """An execution that waits for an approval."""
    return await paused(http, REVIEW)


async def test_events_come_in_as_they_happen_and_the_stream_ends_with_the_execution(http, waiting):
    async with following(http, waiting) as events:
        seen = [await anext(events) for _ in TO_THE_REVIEW]
        assert [event["type"] for event in seen] == TO_THE_REVIEW
        assert (await approve(http, waiting)).status_code == 200
        seen += [event async for event in events]
    assert seen == await events_of(http, waiting)
    assert seen[-1]["kind"] == "WorkflowCompleted"


async def test_an_execution_that_has_ended_is_told_whole(http):
    execution_id = await start(http, TWO_STEPS)
    await until(http, execution_id)
    async with following(http, execution_id) as events:
        assert [event async for event in events] == await events_of(http, execution_id)


async def test_a_stream_under_the_prefix_has_the_runtimes_form(http, waiting):
    async with following(http, waiting, prefix="/jamjet") as events:
        assert (await anext(events))["kind"]["type"] == "workflow_started"
    async with following(http, waiting, kind="object", after=1) as events:
        assert (await anext(events))["kind"]["type"] == "node_scheduled"


async def test_an_event_is_on_one_line_whatever_is_in_it(http):
    odd = "a\x85b\u2028c\u2029d\u000be 한국"
    execution_id = await start(http, TWO_STEPS, odd=odd)
    async with following(http, execution_id) as events:
        assert (await anext(events))["data"]["initial_input"] == {"odd": odd}


async def test_a_client_that_was_cut_off_goes_on_where_it_was(http, waiting):
    async with following(http, waiting) as events:
        first = [await anext(events) for _ in range(2)]
    assert (await approve(http, waiting)).status_code == 200
    async with following(http, waiting, last=first[-1]["sequence"]) as events:
        rest = [event async for event in events]
    assert first + rest == await events_of(http, waiting)


async def test_a_client_that_has_seen_everything_is_told_not_to_come_back(http):
    execution_id = await start(http, TWO_STEPS)
    await until(http, execution_id)
    path, headers = f"/executions/{execution_id}/events?stream=true", {"Last-Event-ID": "8"}
    answer = await http.get(path, headers=headers)
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("last", ["x", "-1", "1.5", "1" * 30])
async def test_an_event_id_that_was_never_sent_is_refused(http, waiting, last):
    answer = await http.get(f"/executions/{waiting}/events?stream=true", headers={"Last-Event-ID": last})
    assert answer.status_code == 400


async def test_open_streams_hold_no_connection(registry, waiting):
    pool = registry.registry.pool
    async with AsyncExitStack() as opened:
        clients = [await opened.enter_async_context(following(registry.http, waiting)) for _ in range(20)]
        for events in clients:
            assert [(await anext(events))["type"] for _ in TO_THE_REVIEW] == TO_THE_REVIEW
        assert await most_often_in_use(pool) == 0
        assert (await approve(registry.http, waiting)).status_code == 200
        ends = await asyncio.gather(*(rest_of(events) for events in clients))
    assert {events[-1]["type"] for events in ends} == {"workflow_completed"}
    assert len({len(events) for events in ends}) == 1


async def rest_of(events):
    return [event async for event in events]


async def most_often_in_use(pool: Pool, looks: int = 200) -> int:
    """How many of the pool's connections are in use, at most of the moments of a second."""
    seen = []
    for _ in range(looks):
        statistics = pool.get_stats()
        seen.append(statistics["pool_size"] - statistics["pool_available"])
        await asyncio.sleep(1 / looks)
    return max(set(seen), key=seen.count)


async def test_a_stream_outlives_its_connections_to_the_database(registry, registry_pool, waiting):
    ends_them = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    async with following(registry.http, waiting) as events, registry_pool.connection() as conn:
        await anext(events)
        await conn.execute(ends_them)
        await asyncio.sleep(0.5)
        assert (await approve(registry.http, waiting)).status_code == 200
        assert [event["type"] async for event in events][-1] == "workflow_completed"


async def test_a_client_that_goes_leaves_nothing_behind(registry, waiting):
    async with following(registry.http, waiting) as events:
        await anext(events)
        assert len(requests_being_answered()) == 1
    async with asyncio.timeout(5):
        while requests_being_answered():
            await asyncio.sleep(0.02)


def requests_being_answered():
    return [task for task in asyncio.all_tasks() if "run_asgi" in repr(task.get_coro())]


async def test_a_quiet_stream_gives_signs_of_life(registry, waiting, monkeypatch):
    monkeypatch.setattr(streams, "KEEP_ALIVE_SECONDS", 0.3)
    path = f"/executions/{waiting}/events?stream=true&after=4"
    async with registry.http.stream("GET", path) as answer:
        lines = [line async for line in first_lines(answer, 6)]
    assert lines == ["retry: 1000", "", ": nothing new", "", ": nothing new", ""]


async def first_lines(answer, count):
    async for line in answer.aiter_lines():
        yield line
        count -= 1
        if not count:
            return


async def test_a_stream_ends_when_its_token_is_revoked(registry, waiting, monkeypatch):
    monkeypatch.setattr(event_routes, "KEEP_ALIVE_SECONDS", 0.2)
    monkeypatch.setattr(streams, "KEEP_ALIVE_SECONDS", 0.2)
    made = (await registry.http.post("/tokens", json={"role": "viewer"})).json()
    viewer = await registry.client(made["token"])
    async with following(viewer, waiting) as events:
        await anext(events)
        await registry.http.delete(f"/tokens/{made['token_id']}")
        async with asyncio.timeout(5):
            assert [event["sequence"] async for event in events] == [2, 3, 4]


async def test_a_registry_that_stops_does_not_wait_for_whoever_follows(registry_dsn, tmp_path):
    settings = {"database_url": registry_dsn, "jamjet_dev_mode": "true", "shutdown_grace_seconds": 20}
    async with registry_process(tmp_path, **settings) as process, httpx.AsyncClient(base_url=process.url) as http:
        execution_id = await paused(http, REVIEW)
        async with following(http, execution_id) as events:
            await anext(events)
            assert await asyncio.to_thread(process.terminate, 10) == 0
            assert [event["sequence"] async for event in events][-1] == 4
