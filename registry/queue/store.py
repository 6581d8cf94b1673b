"""The rows of the queue, for what its own library does not do: jobs whose workers are gone."""

from collections.abc import Collection, Hashable, Sequence
from uuid import UUID

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries
from registry.queue.models import StalledJob

sql = Queries("registry.queue")


async def index_jobs(conn: Connection) -> None:
    """Make the index by which jobs are taken in turns, unless it is there."""
    await conn.execute(sql.index_jobs)


async def get_queue(conn: Connection, execution_id: UUID) -> tuple[str, str]:
    """Which workers the execution is for, and whose it is."""
    row = await (await conn.execute(sql.get_queue, {"execution_id": execution_id})).fetchone()
    assert row is not None
    return row["queue"], row["tenant_id"]


async def list_stalled_jobs(
    conn: Connection, names: Sequence[str], seconds: float, limit: int, but: Collection[Hashable]
) -> list[int]:
    """Jobs whose workers have not been heard of for so long."""
    given = {"names": list(names), "seconds": seconds, "limit": limit, "but": list(but)}
    rows = await (await conn.execute(sql.list_stalled_jobs, given)).fetchall()
    return [row["id"] for row in rows]


async def take_stalled_job(conn: Connection, job_id: int, seconds: float) -> list[StalledJob]:
    """Removes the job, if its worker has still not been heard of; the caller queues it anew."""
    given = {"job_id": job_id, "seconds": seconds}
    rows = await (await conn.execute(sql.take_stalled_job, given)).fetchall()
    return [StalledJob(**row) for row in rows]


async def list_jobs_of(conn: Connection, worker_id: int) -> list[int]:
    """What the queue believes that worker to be doing."""
    rows = await (await conn.execute(sql.list_jobs_of, {"worker_id": worker_id})).fetchall()
    return [row["id"] for row in rows]


async def take_jobs(conn: Connection, names: Sequence[str], job_ids: Sequence[int]) -> list[StalledJob]:
    """Removes these jobs; the caller queues them anew."""
    given = {"names": list(names), "job_ids": list(job_ids)}
    rows = await (await conn.execute(sql.take_jobs, given)).fetchall()
    return [StalledJob(**row) for row in rows]


async def keep_alive(conn: Connection, worker_id: int) -> None:
    """Says of a worker of the queue's that it lives, also when others have taken it off the list."""
    await conn.execute(sql.keep_alive, {"worker_id": worker_id})
