"""Executions of several tenants are taken up in turns, and none has all of a worker."""

from collections.abc import AsyncIterator

import httpx
import pytest

from registry.queue.jobs import Jobs
from registry.queue.store import index_jobs
from tests.registry.engine.workflows import STEP, document
from tests.registry.executions.runs import start, until
from tests.registry.registries import Served, running_registry

ONE_STEP = document({"a": STEP}, [])


@pytest.fixture
async def idle(registry_dsn: str) -> AsyncIterator[Served]:
    """A registry in which nobody works."""
    async with running_registry(registry_dsn) as served:
        yield served


async def take(jobs: Jobs, most: int) -> list[str]:
    """Whose jobs a worker is given, one after the other."""
    worker_id = await jobs.app.job_manager.register_worker()
    taken = [await jobs.app.job_manager.fetch_job(None, worker_id) for _ in range(most)]
    return [jobs.shares._jobs[job.id] for job in taken if job is not None and job.id is not None]


async def opened(served: Served, most_of_one: int | None = None) -> Jobs:
    jobs = Jobs()
    await jobs.open(served.registry.pool)
    jobs.shares.most_of_one = most_of_one
    return jobs


async def fill(http: httpx.AsyncClient, count: int) -> list[str]:
    return [await start(http, ONE_STEP) for _ in range(count)]


async def test_queued_executions_of_several_tenants_are_taken_in_turns(idle: Served) -> None:
    await fill(idle.http, 6)
    for tenant in ("acme", "busy"):
        await fill(await idle.client_of("operator", tenant), 2)
    taken = await take(await opened(idle), 10)
    assert [set(taken[:3]), set(taken[3:6])] == [{"default", "acme", "busy"}] * 2
    assert taken[6:] == ["default"] * 4


async def test_a_tenant_leaves_room_for_others_unless_it_is_alone(idle: Served) -> None:
    await fill(idle.http, 6)
    assert await take(await opened(idle, 2), 3) == ["default"] * 3
    other = await idle.client_of("operator", "acme")
    jobs = await opened(idle, 2)
    assert await take(jobs, 4) == ["default"] * 2
    await fill(other, 1)
    assert await take(jobs, 4) == ["acme"]
    jobs.shares.end(next(iter(jobs.shares.in_hand)))
    assert await take(jobs, 4) == ["default"]


async def test_a_worker_does_all_that_tenants_who_have_their_share_have_queued(registry_dsn: str) -> None:
    async with running_registry(registry_dsn, worker=True, jamjet_worker_concurrency=2) as served:
        other = await served.client_of("operator", "acme")
        queued = [(http, await fill(http, 4)) for http in (served.http, other)]
        for http, execution_ids in queued:
            for execution_id in execution_ids:
                assert (await until(http, execution_id))["status"] == "completed"


async def test_the_index_for_taking_turns_is_made_once(idle: Served) -> None:
    async with idle.registry.pool.connection() as conn:
        for _ in range(2):
            await index_jobs(conn)
        found = await conn.execute("SELECT to_regclass('registry_jobs_by_tenant') IS NOT NULL AS made")
        assert await found.fetchone() == {"made": True}
