"""A process's claim to be alive: one row, renewed while it lives, gone or run out when it does not."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from uuid import UUID, uuid4

from agent_runtime.live_settings.store import begin
from agent_runtime.turns import store
from groundwork.postgres.pool import (
    Connection,
    DatabaseUnavailable,
    Pool,
    connection,
    transaction,
)
from groundwork.process.lease_thread import renewing
from groundwork.process.loop_watch import LoopWatch

logger = logging.getLogger(__name__)

_LAST_SECONDS = 2.0
"""For giving the lease up; it also runs out by itself."""


@dataclass(frozen=True)
class ProcessLease:
    """The lease of this process. `process_id` is made up at each start, so a restarted process is another."""

    process_id: UUID
    agent_id: str
    seconds: float


@asynccontextmanager
async def open_lease(
    pool: Pool, agent_id: str, seconds: float, *, watch: LoopWatch, longest_seconds: float
) -> AsyncIterator[ProcessLease]:
    """Takes a lease for this process, renews it three times per term, and gives it up with the block.

    It is renewed while a graph blocks the event loop, too, but no longer than `longest_seconds`; see `renewing`.
    """
    lease = ProcessLease(uuid4(), agent_id, seconds)
    async with transaction(pool) as conn:
        await begin(conn, agent_id, lease.process_id)
        await store.renew_lease(conn, lease.process_id, agent_id, seconds)
    async with renewing(
        "process lease",
        pool,
        partial(_renew, lease),
        seconds=seconds,
        watch=watch,
        longest_seconds=longest_seconds,
    ):
        yield lease
    try:
        async with asyncio.timeout(_LAST_SECONDS):
            async with connection(pool) as conn:
                await store.end_lease(conn, lease.process_id)
    except (DatabaseUnavailable, TimeoutError) as error:
        logger.warning("releasing the process lease failed, it expires seconds=%s: %r", seconds, error)


async def _renew(lease: ProcessLease, conn: Connection) -> None:
    await store.renew_lease(conn, lease.process_id, lease.agent_id, lease.seconds)
    await store.forget_old_processes(conn)
