"""Cron jobs: kept by the routes, run by the workers."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from groundwork.postgres.pool import Connection, Pool, connection, transaction
from groundwork.process.each_row import EachRow, is_database_away
from registry.access import Principal
from registry.audit.store import append_entry
from registry.cron import store
from registry.cron.models import CronJob, Schedule
from registry.errors import InvalidRequest, NotFound, RegistryError
from registry.executions.models import show_execution_id
from registry.executions.starting import Starter
from registry.executions.store import check_limits
from registry.tenants.store import lock_limits
from registry.workflows import store as workflows

logger = logging.getLogger(__name__)

_AT_ONCE = 100


class CronJobs:
    """The cron jobs of all tenants. Raises `DatabaseUnavailable` everywhere."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(
        self,
        principal: Principal,
        *,
        name: str,
        schedule: Schedule,
        workflow_id: str,
        workflow_version: str | None,
        given: dict[str, Any],
        enabled: bool,
    ) -> CronJob:
        """Adds it, or replaces the one of that name. Raises `InvalidRequest`, and `NotFound` for the workflow."""
        async with transaction(self._pool) as conn:
            # By the database's clock, which says what is due: the clocks of processes differ.
            following = schedule.next_after(await store.read_clock(conn))
            job = CronJob(
                principal.tenant_id,
                name,
                schedule.cron_expression,
                schedule.time_zone,
                workflow_id,
                workflow_version,
                given,
                enabled,
                following,
            )
            await workflows.get_latest(conn, principal.tenant_id, workflow_id, workflow_version)
            await store.put_cron_job(conn, job)
            await append_entry(
                conn,
                principal,
                "cron_job_put",
                f"cron:{name}",
                workflow_id=workflow_id,
                when=schedule.cron_expression,
                time_zone=schedule.time_zone,
            )
        return job

    async def list(self, principal: Principal) -> Sequence[CronJob]:
        async with connection(self._pool) as conn:
            return await store.list_cron_jobs(conn, principal.tenant_id)

    async def delete(self, principal: Principal, name: str) -> None:
        """Raises `NotFound`."""
        if not name.isprintable():
            raise NotFound("there is no cron job of such a name")
        async with transaction(self._pool) as conn:
            await store.delete_cron_job(conn, principal.tenant_id, name)
            await append_entry(conn, principal, "cron_job_deleted", f"cron:{name}")


async def run_due_jobs(conn: Connection, starter: Starter, rows: EachRow) -> None:
    """Starts what is due. Times that passed while nobody was there to see them are one start, not many."""
    goes_on = True
    while goes_on:
        goes_on = False
        for key in await store.list_due_cron_jobs(conn, _AT_ONCE, rows.resting()):
            due = None
            with rows.handling(key, tenant_id=key.tenant_id, cron_job=key.name):
                async with conn.transaction():
                    if due := await store.lock_due_cron_job(conn, key):
                        await _run(conn, starter, *due)
                goes_on = goes_on or due is not None


async def _run(conn: Connection, starter: Starter, job: CronJob, now: datetime) -> None:
    """Starts the workflow, unless that cannot be; either way the job is due at its next time, if there is one."""
    principal = Principal(job.tenant_id, "developer", f"cron:{job.name}", "system")
    execution_id, error = None, None
    try:
        async with conn.transaction():
            await check_limits(conn, job.tenant_id, await lock_limits(conn, job.tenant_id))
            stored = await workflows.get_latest(conn, job.tenant_id, job.workflow_id, job.workflow_version)
            execution_id = await starter.start(conn, job.tenant_id, stored, job.input)
            shown = show_execution_id(execution_id)
            await append_entry(conn, principal, "execution_started", f"execution:{shown}", execution_id=shown)
    except RegistryError as refused:
        error = str(refused)
        logger.warning("cron job did not start tenant_id=%s cron_job=%s: %s", job.tenant_id, job.name, refused)
    except Exception as crash:
        if is_database_away(crash):
            raise
        error = "internal error; the registry's log tells more"
        logger.exception("cron job crashed tenant_id=%s cron_job=%s", job.tenant_id, job.name)
    try:
        following = job.schedule.next_after(now)
    except InvalidRequest as none_left:
        following, error = None, f"{error}; disabled: {none_left}" if error else f"disabled: {none_left}"
        logger.warning("cron job disabled tenant_id=%s cron_job=%s: %s", job.tenant_id, job.name, none_left)
        await append_entry(conn, principal, "cron_job_disabled", f"cron:{job.name}", reason=str(none_left))
    await store.note_run(conn, job, following, execution_id, error)
