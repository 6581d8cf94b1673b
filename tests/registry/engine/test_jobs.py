"""The queue, where the library behind it has errors of its own."""

from contextlib import suppress
from uuid import uuid4

import psycopg
import pytest

from groundwork.postgres.pool import DatabaseUnavailable, Pool
from registry.queue.jobs import Jobs


async def test_a_connection_that_is_cut_before_a_job_is_queued_means_that_the_database_is_away(
    registry_pool: Pool,
) -> None:
    jobs = Jobs()
    await jobs.open(registry_pool)
    async with registry_pool.connection() as conn:
        with suppress(psycopg.OperationalError):
            await conn.execute("SELECT pg_terminate_backend(pg_backend_pid())")
        with pytest.raises(DatabaseUnavailable):
            await jobs.defer_report(conn, uuid4())
