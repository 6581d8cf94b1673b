"""The rows of cron jobs."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries
from registry.cron.models import CronJob
from registry.errors import NotFound

sql = Queries("registry.cron")


class JobKey(NamedTuple):
    tenant_id: str
    name: str


async def read_clock(conn: Connection) -> datetime:
    """The database's, as of the beginning of the transaction."""
    row = await (await conn.execute(sql.read_clock)).fetchone()
    assert row is not None
    now: datetime = row["now"]
    return now


async def put_cron_job(conn: Connection, job: CronJob) -> None:
    given = {
        "tenant_id": job.tenant_id,
        "name": job.name,
        "cron_expression": job.cron_expression,
        "time_zone": job.time_zone,
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


async def list_due_cron_jobs(conn: Connection, limit: int, but: Collection[Any]) -> list[JobKey]:
    """Those that have waited longest for their time, without `but`."""
    given = {
        "limit": limit,
        "but_tenants": [key.tenant_id for key in but],
        "but_names": [key.name for key in but],
    }
    rows = await (await conn.execute(sql.list_due_cron_jobs, given)).fetchall()
    return [JobKey(**row) for row in rows]


async def lock_due_cron_job(conn: Connection, key: JobKey) -> tuple[CronJob, datetime] | None:
    """The job, locked until the transaction ends, and the database's time; None when it is not due any more, or
    another registry has it."""
    row = await (await conn.execute(sql.lock_due_cron_job, key._asdict())).fetchone()
    if row is None:
        return None
    now = row.pop("now")
    return CronJob(**row), now


async def note_run(
    conn: Connection, job: CronJob, next_run_at: datetime | None, execution_id: UUID | None, error: str | None
) -> None:
    """Without a next time the job is not enabled any more."""
    given = {
        "tenant_id": job.tenant_id,
        "name": job.name,
        "next_run_at": next_run_at,
        "execution_id": execution_id,
        "error": error,
    }
    await conn.execute(sql.note_run, given)
