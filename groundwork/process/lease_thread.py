"""Renews a lease from a thread, on a connection of its own: code that blocks the event loop does not lose it."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import psycopg

from groundwork.postgres.pool import Connection, Pool, connect_beside
from groundwork.process.loop_watch import LoopWatch
from groundwork.process.own_thread import running_in_thread

logger = logging.getLogger(__name__)

Renew = Callable[[Connection], Awaitable[None]]

_SHORTEST_SECONDS = 5.0


@asynccontextmanager
async def renewing(
    name: str, pool: Pool, renew: Renew, *, seconds: float, watch: LoopWatch, longest_seconds: float
) -> AsyncIterator[None]:
    """Call `renew` three times per term of `seconds` while the block runs, and keep `watch`.

    A process that stands still as a whole does not renew its lease. One whose event loop has been blocked for
    `longest_seconds` does not either: it will not finish what it holds.
    """

    async def keep() -> None:
        await asyncio.gather(watch.look(), _Renewals(name, pool, renew, seconds, watch, longest_seconds).keep())

    async with running_in_thread(name, keep):
        yield


class _Renewals:
    def __init__(
        self, name: str, pool: Pool, renew: Renew, seconds: float, watch: LoopWatch, longest_seconds: float
    ) -> None:
        self._name = name
        self._pool = pool
        self._renew = renew
        self._seconds = seconds
        self._watch = watch
        self._longest_seconds = longest_seconds
        self._conn: Connection | None = None

    async def keep(self) -> None:
        given_up = False
        try:
            while True:
                await asyncio.sleep(self._seconds / 3)
                blocked = self._watch.blocked_seconds > self._longest_seconds
                if not blocked:
                    await self._renew_to_the_end()
                elif not given_up:
                    logger.error("lease left to expire, event loop blocked for too long lease=%r", self._name)
                given_up = blocked
        finally:
            await self._close()

    async def _renew_to_the_end(self) -> None:
        """Renew, and let that end when the thread is told to stop.

        A cancelled statement sends a cancel request, which ends PgBouncer before 1.20.
        """
        renewal = asyncio.ensure_future(self._renew_once())
        try:
            await asyncio.shield(renewal)
        finally:
            await asyncio.wait([renewal])

    async def _renew_once(self) -> None:
        try:
            async with asyncio.timeout(max(self._seconds, _SHORTEST_SECONDS)):
                if self._conn is None:
                    self._conn = await connect_beside(self._pool)
                await self._renew(self._conn)
        except (psycopg.Error, TimeoutError) as error:
            logger.warning("lease renewal failed lease=%r: %r", self._name, error)
            await self._close()

    async def _close(self) -> None:
        conn, self._conn = self._conn, None
        if conn is not None:
            with suppress(psycopg.Error):
                await conn.close()
