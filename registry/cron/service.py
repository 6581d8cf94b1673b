"""Cron jobs: kept by the routes, run by the workers."""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from groundwork.postgres import Connection, Pool, database_errors
from registry.access import Principal
from registry.audit.store import append_entry
from registry.cron import store
from registry.cron.models import CronJob, next_run_after
from registry.engine.starting import Starter
from registry.errors import NotFound, RegistryError
from registry.executions.models import show_execution_id
from registry.executions.store import check_limits
from registry.tenants.store import lock_limits
from registry.workflows import store as workflows

logger = logging.getLogger(__name__)


class CronJobs:
    """The cron jobs of all tenants. Raises `DatabaseUnavailable` everywhere."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(
        self,
        principal: Principal,
        *,
        name: str,
        cron_expression: str,
        workflow_id: str,
        workflow_version: str | None,
        given: dict[str, Any],
        enabled: bool,
    ) -> CronJob:
        """Adds it, or replaces the one of that name. Raises `InvalidRequest`, and `NotFound` for the workflow."""
        following = next_run_after(cron_expression, datetime.now(UTC))
        job = CronJob(
            principal.tenant_id, name, cron_expression, workflow_id, workflow_version, given, enabled, following
        )
        with database_errors():
            async with self._pool.connection() as conn, conn.transaction():
                await workflows.get_latest(conn, principal.tenant_id, workflow_id, workflow_version)
                await store.put_cron_job(conn, job)
                await append_entry(
                    conn, principal, "cron_job_put", f"cron:{name}", workflow_id=workflow_id, when=cron_expression
                )
        return job

    async def list(self, principal: Principal) -> Sequence[CronJob]:
        with database_errors():
            async with self._pool.connection() as conn:
                return await store.list_cron_jobs(conn, principal.tenant_id)

    async def delete(self, principal: Principal, name: str) -> None:
        """Raises `NotFound`."""
        if not name.isprintable():
            raise NotFound("there is no cron job of such a name")
        with database_errors():
            async with self._pool.connection() as conn, conn.transaction():
                await store.delete_cron_job(conn, principal.tenant_id, name)
                await append_entry(conn, principal, "cron_job_deleted", f"cron:{name}")


async def run_due_jobs(conn: Connection, starter: Starter) -> None:
    """Starts what is due. Times that passed while nobody was there to see them are one start, not many."""
    while True:
        async with conn.transaction():
            job = await store.lock_due_cron_job(conn)
            if job is None:
                return
            await _run(conn, starter, job)


async def _run(conn: Connection, starter: Starter, job: CronJob) -> None:
    principal = Principal(job.tenant_id, "developer", f"cron:{job.name}", "system")
    following = next_run_after(job.cron_expression, datetime.now(UTC))
    try:
        async with conn.transaction():
            await check_limits(conn, job.tenant_id, await lock_limits(conn, job.tenant_id))
            stored = await workflows.get_latest(conn, job.tenant_id, job.workflow_id, job.workflow_version)
            execution_id = await starter.start(conn, job.tenant_id, stored, job.input)
            shown = show_execution_id(execution_id)
            await store.note_run(conn, job, following, execution_id, None)
            await append_entry(conn, principal, "execution_started", f"execution:{shown}", execution_id=shown)
    except RegistryError as error:
        logger.warning("cron job %s of tenant %s did not start: %s", job.name, job.tenant_id, error)
        await store.note_run(conn, job, following, None, str(error))
