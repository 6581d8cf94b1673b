"""How much work waits for workers: measured now and then, as it is the same for all processes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from groundwork.postgres.pool import Pool, connection
from groundwork.postgres.sql import Queries
from groundwork.process.background import running
from groundwork.process.repeating import repeat
from registry.metrics import Backlog, RegistryMetrics

sql = Queries("registry.queue")

_SECONDS = 10.0


@asynccontextmanager
async def watching_backlog(pool: Pool, metrics: RegistryMetrics) -> AsyncIterator[None]:
    """Keeps the metrics up to date while the block runs."""

    async def measure() -> None:
        async with connection(pool) as conn:
            rows = await (await conn.execute(sql.measure_backlog)).fetchall()
        metrics.set_backlog({row["queue"]: Backlog(row["jobs"], row["longest_wait"]) for row in rows})

    async with running("backlog", partial(repeat, measure, _SECONDS, "measuring the backlog")):
        yield
