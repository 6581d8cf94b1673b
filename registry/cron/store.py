"""The rows of cron jobs."""

from datetime import datetime
from uuid import UUID

from psycopg.types.json import Jsonb

from groundwork.postgres import Connection
from groundwork.sql import Queries
from registry.cron.models import CronJob
from registry.errors import NotFound

sql = Queries("registry.cron")


async def put_cron_job(conn: Connection, job: CronJob) -> None:
    given = {
        "tenant_id": job.tenant_id,
        "name": job.name,
        "cron_expression": job.cron_expression,
        "workflow_id": job.workflow_id,
        "workflow_version": job.workflow_version,
        "input": Jsonb(job.input),
        "enabled": job.enabled,
        "next_run_at": job.next_run_at,
    }
    await conn.execute(sql.put_cron_job, given)


async def list_cron_jobs(conn: Connection, tenant_id: str) -> list[CronJob]:
    rows = await (await conn.execute(sql.list_cron_jobs, {"tenant_id": tenant_id})).fetchall()
    return [CronJob(**row) for row in rows]


async def delete_cron_job(conn: Connection, tenant_id: str, name: str) -> None:
    """Raises `NotFound`."""
    given = {"tenant_id": tenant_id, "name": name}
    if await (await conn.execute(sql.delete_cron_job, given)).fetchone() is None:
        raise NotFound(f"cron job {name}")


async def lock_due_cron_job(conn: Connection) -> CronJob | None:
    """The one that has waited longest for its time, locked until the transaction ends."""
    row = await (await conn.execute(sql.lock_due_cron_job)).fetchone()
    return CronJob(**row) if row else None


async def note_run(
    conn: Connection, job: CronJob, next_run_at: datetime, execution_id: UUID | None, error: str | None
) -> None:
    given = {
        "tenant_id": job.tenant_id,
        "name": job.name,
        "next_run_at": next_run_at,
        "execution_id": execution_id,
        "error": error,
    }
    await conn.execute(sql.note_run, given)
