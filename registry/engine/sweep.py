"""What workers do every few seconds: pick up what dead workers left, and what no other path picks up.

Each row is handled by itself (see `EachRow`): the rows are those of all tenants.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import procrastinate

from groundwork.postgres.pool import Connection, DatabaseUnavailable, connection, transaction
from groundwork.process.each_row import EachRow
from registry.cron.service import run_due_jobs
from registry.engine.toolbox import WorkerContext
from registry.executions import store, waking
from registry.queue.jobs import Jobs
from registry.work_items.service import expire_leases

logger = logging.getLogger(__name__)

_SWEEP_SECONDS = 2.0
_ABANDONED_SECONDS = 30.0
_OVERDUE_SECONDS = 5.0
_AT_ONCE = 100

ListRows = Callable[..., Awaitable[Sequence[UUID]]]
Act = Callable[[Connection, Jobs, UUID], Awaitable[None]]


class Sweep:
    """The duties of one worker."""

    def __init__(self, worker_context: WorkerContext, lease_seconds: float) -> None:
        self._context = worker_context
        self._lease_seconds = lease_seconds
        self._duties: dict[str, Callable[[EachRow], Awaitable[None]]] = {
            "requeueing jobs that this worker did not hear of": self._requeue_unheard,
            "requeueing jobs of dead workers": self._requeue_stalled,
            "requeueing abandoned executions": self._requeue_abandoned,
            "ending overdue executions": self._end_overdue,
            "ending overdue waits": self._ring_overdue,
            "reporting ended children": self._report_children,
            "expiring leases of work items": self._expire_leases,
            "starting cron jobs": self._run_due_jobs,
        }
        self._rows = {name: EachRow(name, logger) for name in self._duties}
        self._failing: set[str] = set()

    async def run(self) -> None:
        """For ever. What keeps a duty from being done is logged once until it is done again."""
        while True:
            await asyncio.sleep(_SWEEP_SECONDS)
            for name, duty in self._duties.items():
                try:
                    await duty(self._rows[name])
                    self._failing.discard(name)
                except (DatabaseUnavailable, procrastinate.exceptions.ConnectorException) as error:
                    if name not in self._failing:
                        logger.warning("sweep failed duty=%r: %s", name, error)
                    self._failing.add(name)
                except Exception:
                    if name not in self._failing:
                        logger.exception("sweep crashed duty=%r", name)
                    self._failing.add(name)

    async def _requeue_unheard(self, rows: EachRow) -> None:
        if not self._context.jobs.may_not_have_heard:
            return
        async with transaction(self._context.pool) as conn:
            unheard = await self._context.jobs.defer_unheard(conn)
        for job in unheard:
            logger.warning("job requeued, fetch was not answered job=%s", job)

    async def _requeue_stalled(self, rows: EachRow) -> None:
        jobs = self._context.jobs
        async with connection(self._context.pool) as conn:
            for job_id in await jobs.list_stalled(conn, self._lease_seconds, _AT_ONCE, rows.resting()):
                with rows.handling(job_id, job_id=job_id):
                    async with conn.transaction():
                        stalled = await jobs.defer_stalled(conn, job_id, self._lease_seconds)
                    for job in stalled:
                        logger.warning("job requeued, worker lost job=%s", job)

    async def _requeue_abandoned(self, rows: EachRow) -> None:
        async def requeue(conn: Connection, jobs: Jobs, execution_id: UUID) -> None:
            await jobs.defer_drive(conn, execution_id)

        await self._each(rows, store.list_abandoned, requeue, _ABANDONED_SECONDS)

    async def _end_overdue(self, rows: EachRow) -> None:
        await self._each(rows, store.list_overdue, waking.expire, _OVERDUE_SECONDS)

    async def _ring_overdue(self, rows: EachRow) -> None:
        """Does what lost jobs were to do, and those that come late because all workers are busy."""
        await self._each(rows, store.list_overdue_waits, waking.ring, _OVERDUE_SECONDS)

    async def _report_children(self, rows: EachRow) -> None:
        await self._each(rows, store.list_unreported, waking.report_to_parent, _OVERDUE_SECONDS)

    async def _each(self, rows: EachRow, listed: ListRows, act: Act, seconds: float) -> None:
        async with connection(self._context.pool) as conn:
            for key in await listed(conn, seconds, limit=_AT_ONCE, but=rows.resting()):
                with rows.handling(key, id=key):
                    async with conn.transaction():
                        await act(conn, self._context.jobs, key)

    async def _expire_leases(self, rows: EachRow) -> None:
        async with connection(self._context.pool) as conn:
            await expire_leases(conn, self._context.jobs, rows, limit=_AT_ONCE)

    async def _run_due_jobs(self, rows: EachRow) -> None:
        async with connection(self._context.pool) as conn:
            await run_due_jobs(conn, self._context.starter, rows)
