"""A worker: takes jobs from the queue until it is told to stop, and picks up what dead workers left."""

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from procrastinate import JobContext
from procrastinate.worker import Worker

from groundwork.postgres.pool import DatabaseUnavailable, Pool, connection
from groundwork.process.background import running
from groundwork.process.loop_watch import LoopWatch
from groundwork.process.shutdown import ShutdownPeriod
from registry.engine.drive import Driver
from registry.engine.executors import build_executors
from registry.engine.sweep import Sweep
from registry.engine.toolbox import WorkerContext
from registry.outbound.clients import open_outbound
from registry.outbound.models import open_models
from registry.outbound.secrets import AgentTokens
from registry.queue import store as queue_store
from registry.queue.jobs import DRIVE, EXPIRE, QUEUE, REPORT, RING, Jobs, queue_of
from registry.settings import RegistrySettings
from registry.workers.lease import open_worker_lease

logger = logging.getLogger(__name__)

LAST_ATTEMPT = 8
"""After so many attempts an execution that crashes its worker's code is failed."""

_AGAIN_SECONDS = 1.0
_LAST_SECONDS = 2.0
"""For jobs that are cut off when the grace is over, to say so."""

_FETCH_SECONDS = 0.25
"""How often a worker looks for jobs it has not heard of: those whose time has come, and behind a pooler all."""

_NEVER = 1e9


QUEUE_TYPES = ("general", "model", "tool")
"""What our own workers do; functions of the users' own are for workers outside."""


@asynccontextmanager
async def open_worker(
    settings: RegistrySettings,
    pool: Pool,
    jobs: Jobs,
    grace: ShutdownPeriod,
    agent_tokens: AgentTokens | None = None,
    watch: LoopWatch | None = None,
) -> AsyncIterator[None]:
    """Works while the block runs, with the tokens for agents that are given, or else those of the settings. At its
    end no new job is taken; the running ones get the time that is left to reach the end of what they do, and what
    is left then goes back into the queue."""
    worker_id, lease_seconds = _worker_id(), settings.jamjet_worker_lease_seconds
    async with (
        open_models(settings) as models,
        open_outbound(settings, agent_tokens) as outbound,
        open_worker_lease(
            pool, worker_id=worker_id, queue_types=QUEUE_TYPES, seconds=lease_seconds, watch=watch
        ) as lease,
    ):
        executors = build_executors(pool, models, outbound)
        worker_context = WorkerContext(settings, pool, jobs, executors, worker_id)
        _register(jobs, Driver(worker_context, lease.in_hand))
        jobs.shares.most_of_one = settings.most_of_one_tenant
        stopping = asyncio.Event()
        working = asyncio.create_task(_work(jobs, pool, settings, grace, stopping), name="worker")
        async with running("sweep", Sweep(worker_context, lease_seconds).run):
            try:
                yield
            finally:
                stopping.set()
                await _end(working, grace)


def _worker_id() -> str:
    """Another one with every start, so that a worker is never taken for the one before it on the same machine."""
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}"


def _register(jobs: Jobs, driver: Driver) -> None:
    async def drive(context: JobContext, execution_id: str) -> None:
        try:
            await driver.drive(execution_id)
        except DatabaseUnavailable:
            raise
        except Exception:
            logger.exception("execution crashed execution_id=%s", execution_id)
            if context.job.attempts + 1 < LAST_ATTEMPT:
                raise
            await driver.give_up(execution_id, "internal error; the registry's log tells more")

    async def ring(context: JobContext, wait_id: str) -> None:
        await driver.ring(wait_id)

    async def expire(context: JobContext, execution_id: str) -> None:
        await driver.expire(execution_id)

    async def report(context: JobContext, execution_id: str) -> None:
        await driver.report(execution_id)

    for name, function in ((DRIVE, drive), (RING, ring), (EXPIRE, expire), (REPORT, report)):
        jobs.register(name, function)


class _Worker(Worker):
    """The library's, which is told when a job has ended that others of its tenant may have waited for."""

    def look_again(self) -> None:
        self._new_job_event.set()


async def _work(
    jobs: Jobs, pool: Pool, settings: RegistrySettings, grace: ShutdownPeriod, stopping: asyncio.Event
) -> None:
    """Runs procrastinate's worker, again when it could not begin because the database was away."""
    while not stopping.is_set():
        worker = _Worker(
            jobs.app,
            queues=_queues(settings),
            concurrency=settings.jamjet_worker_concurrency,
            install_signal_handlers=False,
            fetch_job_polling_interval=_FETCH_SECONDS,
            update_heartbeat_interval=_NEVER,
            stalled_worker_timeout=settings.jamjet_worker_lease_seconds,
            delete_jobs="always",
        )
        jobs.on_end = worker.look_again
        stop = asyncio.create_task(_stop(worker, grace, stopping), name="worker-stop")
        try:
            async with running("worker-heart", partial(_beat, worker, pool, settings.jamjet_worker_lease_seconds)):
                await worker.run()  # type: ignore[no-untyped-call]  # the library's; it returns nothing
        except Exception as error:  # noqa: BLE001 - whatever it was, the next one may do better
            logger.warning("worker stopped: %s", error)
        finally:
            stop.cancel()
        if not stopping.is_set():
            await asyncio.sleep(_AGAIN_SECONDS)


async def _end(working: asyncio.Task[None], grace: ShutdownPeriod) -> None:
    """The worker has been told to stop. What it cannot do in time, because the database stands still, is left."""
    await asyncio.wait({working}, timeout=grace.left() + _LAST_SECONDS)
    # The first cancellation is taken for a wish to stop, and its end is waited for once more.
    while not working.done():
        working.cancel()
        await asyncio.wait({working}, timeout=0.1)


def _queues(settings: RegistrySettings) -> list[str] | None:
    """None: all there are, whatever workflows call them."""
    chosen = settings.jamjet_worker_queues
    return [QUEUE, *map(queue_of, chosen)] if chosen else None


async def _beat(worker: Worker, pool: Pool, lease_seconds: float) -> None:
    """Tells others that the worker lives, until the last of its jobs has ended, and is back when it was taken for
    dead. The library does so only until the worker is told to stop: others would take what is still being done."""
    while True:
        await asyncio.sleep(lease_seconds / 3)
        if worker.worker_id is None:
            continue
        try:
            async with connection(pool) as conn:
                await queue_store.keep_alive(conn, worker.worker_id)
        except DatabaseUnavailable as error:
            logger.warning("worker heartbeat failed: %s", error)


async def _stop(worker: Worker, grace: ShutdownPeriod, stopping: asyncio.Event) -> None:
    await stopping.wait()
    worker.shutdown_graceful_timeout = grace.left()
    worker.stop()  # type: ignore[no-untyped-call]  # the library's; it returns nothing
