"""Workers and servers that are killed, stopped and told to go: what they had begun is ended, and told once."""

import asyncio
import random
import signal
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job
from procrastinate.manager import JobManager

from groundwork.postgres.pool import Pool
from tests.processes import ServiceProcess, registry_process, worker_process
from tests.registry.engine.executions import events_of, start, until
from tests.registry.engine.slow_model import SlowModel, running_slow_model
from tests.registry.engine.workflows import STEP, document
from tests.registry.registries import Served, running_registry

THINKING = document(
    {
        "before": STEP,
        "think": {"type": "model", "model_ref": "any", "prompt_ref": "{{ state.prompt }}"},
        "after": STEP,
    },
    [("before", "think"), ("think", "after")],
)

LEASE_AND_SWEEP = 1 + 2


@pytest.fixture
async def model() -> AsyncIterator[SlowModel]:
    async with running_slow_model() as model:
        yield model


@pytest.fixture
async def served(registry_dsn: str, model: SlowModel) -> AsyncIterator[Served]:
    """A registry that runs nothing itself."""
    async with running_registry(registry_dsn) as served:
        yield served


@pytest.fixture
def settings(registry_dsn: str, model: SlowModel) -> dict[str, object]:
    return {"database_url": registry_dsn, "jamjet_model_seam_url": model.url}


async def told(served: Served, execution: str, what: str) -> list[str]:
    """Which workers have told it of the slow node, in order; and that everything was told as it should be."""
    events = await events_of(served.registry, execution)
    assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    completed = [event.node_id for event in events if event.type == "node_completed"]
    assert completed == [node for node in ("before", "think", "ask", "after") if node in completed]
    return [event.data["worker_id"] for event in events if (event.type, event.node_id) == (what, "think")]


def pid_of(worker_id: str) -> int:
    return int(worker_id.split("-")[-2])


async def test_what_a_dead_or_sleeping_worker_had_begun_is_ended_by_another(
    tmp_path: Path, served: Served, settings: dict[str, object], model: SlowModel
):
    async with worker_process(tmp_path, "one", **settings) as one:
        asleep = await start(served.registry, THINKING, prompt="hold")
        await model.asked(1)
        async with worker_process(tmp_path, "two", **settings) as two:
            one.process.send_signal(signal.SIGSTOP)
            await model.asked(2)
            model.released.set()
            assert (await until(served.registry, asleep)).status == "completed"
            events = await events_of(served.registry, asleep)
            one.process.send_signal(signal.SIGCONT)
            await asyncio.sleep(1.5)
            assert await events_of(served.registry, asleep) == events
            assert [pid_of(name) for name in await told(served, asleep, "node_started")] == pids(one, two)
            await the_one_that_slept_still_works(served, model, one, two)


async def the_one_that_slept_still_works(
    served: Served, model: SlowModel, one: ServiceProcess, two: ServiceProcess
) -> None:
    one.process.send_signal(signal.SIGSTOP)
    model.released.clear()
    execution = await start(served.registry, THINKING, prompt="hold")
    await model.asked(3)
    one.process.send_signal(signal.SIGCONT)
    two.kill()
    killed_at = time.monotonic()
    await model.asked(4)
    assert time.monotonic() - killed_at < LEASE_AND_SWEEP + 1.5
    model.released.set()
    assert (await until(served.registry, execution)).status == "completed"
    assert [pid_of(name) for name in await told(served, execution, "node_started")] == pids(two, one)


def pids(*processes: ServiceProcess) -> list[int]:
    return [process.process.pid for process in processes]


async def test_a_worker_that_is_told_to_go_ends_what_it_can_and_leaves_the_rest_to_others(
    tmp_path: Path, served: Served, settings: dict[str, object], model: SlowModel
):
    async with worker_process(tmp_path, "patient", **settings, shutdown_grace_seconds=10) as patient:
        short = await start(served.registry, THINKING, prompt="sleep 5")
        await model.asked(1)
        async with worker_process(tmp_path, "hasty", **settings, shutdown_grace_seconds=1) as hasty:
            assert await asyncio.to_thread(patient.terminate) == 0
            assert (await until(served.registry, short)).status == "completed"
            assert [pid_of(name) for name in await told(served, short, "node_started")] == pids(patient)
            long = await start(served.registry, THINKING, prompt="hold")
            await model.asked(2)
            async with worker_process(tmp_path, "last", **settings) as last:
                assert await asyncio.to_thread(hasty.terminate, 5) == 0
                await model.asked(3)
                model.released.set()
                assert (await until(served.registry, long)).status == "completed"
                assert [pid_of(name) for name in await told(served, long, "node_started")] == pids(hasty, last)


async def test_two_servers_and_three_workers_share_one_database_and_lose_some_of_each(
    tmp_path: Path, registry_dsn: str, served: Served, settings: dict[str, object]
):
    ir = document(
        {"think": THINKING["nodes"]["think"]["kind"], "ask": {"type": "human_approval"}, "after": STEP},
        [("think", "ask"), ("ask", "after")],
    )
    await served.http.post("/workflows", json={"ir": ir})
    async with cluster(tmp_path, settings) as (servers, workers):
        clients = [await client_of(served, server) for server in servers]
        executions = [await begin(clients[number % 2], "test") for number in range(30)]
        await asyncio.sleep(0.3)
        workers[0].kill()
        disconnect(registry_dsn)
        servers[0].kill()
        await asyncio.gather(*(approve(clients[1], execution) for execution in executions))
        for execution in executions:
            row = await until(served.registry, execution, timeout=30)
            assert (row.status, row.steps_executed) == ("completed", 3)
            await told(served, execution, "node_started")


@asynccontextmanager
async def cluster(
    directory: Path, settings: dict[str, object]
) -> AsyncIterator[tuple[list[ServiceProcess], list[ServiceProcess]]]:
    async with AsyncExitStack() as stack:
        servers = [registry_process(directory, "--no-worker", **settings) for _ in range(2)]
        workers = [worker_process(directory, f"w{number}", **settings) for number in range(3)]
        opened = await asyncio.gather(*(stack.enter_async_context(one) for one in [*servers, *workers]))
        yield opened[:2], opened[2:]


async def client_of(served: Served, server: ServiceProcess) -> httpx.AsyncClient:
    client = await served.client(served.token)
    client.base_url = httpx.URL(server.url)
    return client


async def begin(client: httpx.AsyncClient, workflow_id: str) -> str:
    given = {"prompt": f"sleep {random.uniform(0.2, 1.5):.1f}"}
    answer = await client.post("/executions", json={"workflow_id": workflow_id, "input": given})
    execution_id: str = answer.json()["execution_id"]
    return execution_id


async def approve(client: httpx.AsyncClient, execution: str) -> None:
    """Decides, as soon as there is something to be decided and a database to write it down."""
    async with asyncio.timeout(40):
        while (
            await client.post(f"/executions/{execution}/approve", json={"decision": "approved"})
        ).status_code != 200:
            await asyncio.sleep(0.2)


def disconnect(dsn: str) -> None:
    """As a restart of PostgreSQL does to everybody."""
    with psycopg.connect(dsn) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


@dataclass
class Fetching:
    """What becomes of the next looks for a job."""

    failures: int = 0
    lost_answers: int = 0


@pytest.fixture
def fetching(monkeypatch: pytest.MonkeyPatch) -> Fetching:
    fetching, fetch, broke = Fetching(), JobManager.fetch_job, psycopg.OperationalError("the connection is closed")

    async def fetch_job(self: JobManager, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        if fetching.failures:
            fetching.failures -= 1
            raise ConnectorException from broke
        job = await fetch(self, queues, worker_id)
        if job is not None and fetching.lost_answers:
            fetching.lost_answers -= 1
            raise ConnectorException from broke
        return job

    monkeypatch.setattr(JobManager, "fetch_job", fetch_job)
    return fetching


@asynccontextmanager
async def thinking(registry_dsn: str, model: SlowModel, **settings: Any) -> AsyncIterator[tuple[Served, str]]:
    """A registry that works, and an execution whose model thinks until it is let go."""
    given: dict[str, Any] = {"jamjet_model_seam_url": model.url, **settings}
    async with running_registry(registry_dsn, worker=True, **given) as served:
        slow = await start(served.registry, THINKING, prompt="hold")
        await model.asked(1)
        yield served, slow


async def another_is_done(served: Served) -> None:
    quick = await start(served.registry, THINKING, prompt="quick")
    assert (await until(served.registry, quick)).status == "completed"


async def is_done_too(served: Served, slow: str, model: SlowModel) -> None:
    model.released.set()
    assert (await until(served.registry, slow)).status == "completed"


async def test_a_worker_that_could_not_look_for_jobs_does_more_before_what_it_has_begun_is_done(
    registry_dsn: str, model: SlowModel, fetching: Fetching
):
    async with thinking(registry_dsn, model) as (served, slow):
        fetching.failures = 3
        await another_is_done(served)
        await is_done_too(served, slow, model)
        assert len(await told(served, slow, "node_started")) == 1


async def test_a_worker_that_could_not_look_for_jobs_stops_in_time(
    registry_dsn: str, model: SlowModel, fetching: Fetching
):
    async with thinking(registry_dsn, model, shutdown_grace_seconds=1) as (served, _):
        fetching.failures = 3
        await another_is_done(served)
        stopping = time.monotonic()
    assert time.monotonic() - stopping < 10


async def test_a_job_that_a_worker_was_given_and_did_not_hear_of_is_done_all_the_same(
    registry_dsn: str, model: SlowModel, fetching: Fetching
):
    async with thinking(registry_dsn, model) as (served, slow):
        fetching.lost_answers = 1
        await another_is_done(served)
        await is_done_too(served, slow, model)


async def test_a_worker_that_was_taken_for_dead_works_on(registry_dsn: str, registry_pool: Pool, model: SlowModel):
    async with thinking(registry_dsn, model, jamjet_worker_lease_seconds=1) as (served, slow):
        async with registry_pool.connection() as conn:
            await conn.execute("DELETE FROM procrastinate_workers")
        await another_is_done(served)
        await is_done_too(served, slow, model)
