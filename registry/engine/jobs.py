"""The queue on PostgreSQL: `procrastinate`, and what we ask of its workers."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from procrastinate import App, PsycopgConnector, RetryStrategy
from procrastinate.connector import Notify
from psycopg import AsyncConnection, OperationalError
from psycopg.sql import SQL, Identifier

from groundwork.postgres import Connection, Pool

logger = logging.getLogger(__name__)

DRIVE = "drive"
"""Takes an execution up, as far as it goes."""

RING = "ring"
"""The time that a node was to wait is over."""

EXPIRE = "expire"
"""The time that an execution had is over."""

REPORT = "report"
"""An execution that another one began has ended."""

QUEUE = "executions"

_LISTEN_AGAIN_SECONDS = 1.0

_PATIENT = RetryStrategy(linear_wait=1, max_attempts=8)
"""A job that fails is tried again for half a minute; then the sweep for abandoned executions takes over."""


class _Connector(PsycopgConnector):
    """The library's connector on our pool, whose connections are in autocommit already: the library's own listener
    cannot open a further one of those."""

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Hears of new jobs at once. Where that cannot be, behind a pooler, workers still look now and then."""
        conninfo, options = str(self.pool.conninfo), cast("dict[str, Any]", self.pool.kwargs)
        while True:
            try:
                async with await AsyncConnection.connect(conninfo, **options) as conn:
                    for channel in channels:
                        await conn.execute(SQL("LISTEN {}").format(Identifier(channel)))
                    async for heard in conn.notifies():
                        await on_notification(channel=heard.channel, payload=heard.payload)
            except OperationalError as error:
                logger.warning("not listening for jobs at the moment: %s", error)
            await asyncio.sleep(_LISTEN_AGAIN_SECONDS)


async def prepare_queue(pool: Pool) -> None:
    """Makes procrastinate's tables, unless they are there; the caller holds `migrations.schema_lock`."""
    jobs = Jobs()
    await jobs.open(pool)
    if not await jobs.app.check_connection_async():
        await jobs.app.schema_manager.apply_schema_async()


class Jobs:
    """Puts jobs into the queue, each in the transaction of what makes it necessary."""

    def __init__(self) -> None:
        self.app = App(connector=_Connector())

    async def open(self, pool: Pool) -> None:
        """Uses the process's own pool; whoever opened it closes it."""
        await self.app.open_async(pool)

    async def defer_drive(self, conn: Connection, execution_id: UUID) -> None:
        """One worker at a time has an execution in hand: jobs of one lock run one after the other."""
        await self._defer(conn, DRIVE, lock=f"execution {execution_id}", execution_id=str(execution_id))

    async def defer_ring(self, conn: Connection, wait_id: UUID, at: datetime) -> None:
        await self._defer(conn, RING, schedule_at=at, wait_id=str(wait_id))

    async def defer_expire(self, conn: Connection, execution_id: UUID, at: datetime) -> None:
        await self._defer(conn, EXPIRE, schedule_at=at, execution_id=str(execution_id))

    async def defer_report(self, conn: Connection, execution_id: UUID) -> None:
        await self._defer(conn, REPORT, execution_id=str(execution_id))

    async def _defer(
        self,
        conn: Connection,
        name: str,
        *,
        lock: str | None = None,
        schedule_at: datetime | None = None,
        **arguments: str,
    ) -> None:
        task: Any = self.app.configure_task(name, queue=QUEUE, lock=lock, schedule_at=schedule_at, connection=conn)
        await task.defer_async(**arguments)


def register(app: App, name: str, function: Callable[..., Awaitable[None]]) -> None:
    """Tells the workers of this process what to do for jobs of that name; the function is given the job first."""
    app.task(name=name, queue=QUEUE, retry=_PATIENT, pass_context=True)(function)
