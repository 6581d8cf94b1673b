"""A worker's claim to be alive: one row, renewed while it lives, gone or run out when it does not."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from groundwork.postgres.pool import Connection, DatabaseUnavailable, Pool, connection
from groundwork.process.lease_thread import renewing
from groundwork.process.loop_watch import LoopWatch
from registry.workers import store
from registry.workers.models import WorkerStatus

logger = logging.getLogger(__name__)

_LONGEST_BLOCKED_SECONDS = 600.0
"""A worker whose event loop stands still for longer is taken for dead."""

_LAST_SECONDS = 2.0
"""For taking it off the list; others do it when the lease is over."""


@dataclass
class WorkerLease:
    """The lease of one worker. What its owner writes to `status` and `in_hand` is seen by others from the next
    renewal on."""

    pool: Pool
    tenant_id: str | None
    worker_id: str
    queue_types: Sequence[str]
    seconds: float
    status: WorkerStatus = "active"
    in_hand: set[str] = field(default_factory=set)
    started_at: datetime | None = None

    async def renew(self, conn: Connection) -> None:
        async with conn.transaction():
            self.started_at = await store.put_worker(
                conn,
                tenant_id=self.tenant_id,
                worker_id=self.worker_id,
                queue_types=self.queue_types,
                status=self.status,
                in_hand=sorted(self.in_hand.copy()),
                started_at=self.started_at,
                seconds=self.seconds,
            )
            await store.forget_dead_workers(conn)

    async def end(self) -> None:
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                async with connection(self.pool) as conn:
                    await store.remove_worker(conn, self.tenant_id, self.worker_id)
        except (DatabaseUnavailable, TimeoutError) as error:
            logger.warning("releasing the worker lease failed, it expires worker_id=%s: %r", self.worker_id, error)


@asynccontextmanager
async def open_worker_lease(
    pool: Pool,
    worker_id: str,
    queue_types: Sequence[str],
    seconds: float,
    *,
    tenant_id: str | None = None,
    watch: LoopWatch | None = None,
) -> AsyncIterator[WorkerLease]:
    """Announces a worker, keeps it announced, and takes it off the list with the block.

    No two that live may have one `worker_id`. Without a tenant the worker is the registry's own, and works for all
    tenants. Raises `DatabaseUnavailable` when it cannot be announced.
    """
    lease = WorkerLease(pool, tenant_id, worker_id, queue_types, seconds)
    async with connection(pool) as conn:
        await lease.renew(conn)
    async with renewing(
        "worker lease",
        pool,
        lease.renew,
        seconds=seconds,
        watch=watch or LoopWatch(),
        longest_seconds=_LONGEST_BLOCKED_SECONDS,
    ):
        yield lease
    await lease.end()
