"""The queue on PostgreSQL: `procrastinate`, and what we ask of its workers."""

import asyncio
import logging
from collections.abc import Callable, Collection, Coroutine, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, LiteralString, cast
from uuid import UUID

from procrastinate import App, JobContext, PsycopgConnector, RetryStrategy
from procrastinate.connector import BaseConnector, Notify
from procrastinate.exceptions import ConnectorException
from procrastinate.jobs import Job
from procrastinate.manager import JobManager
from psycopg import AsyncConnection, InterfaceError, OperationalError
from psycopg.errors import ForeignKeyViolation, RaiseException
from psycopg.sql import SQL, Identifier
from psycopg_pool import PoolClosed

from groundwork.postgres.pool import Connection, DatabaseUnavailable, Pool, configure, connection, is_pooled
from groundwork.telemetry.tracing import origin, spanned, take_over
from registry.queue import store
from registry.queue.models import StalledJob
from registry.queue.shares import Shares

logger = logging.getLogger(__name__)

DRIVE = "drive"
"""Takes an execution up, as far as it goes."""

RING = "ring"
"""The time that a node was to wait is over."""

EXPIRE = "expire"
"""The time that an execution had is over."""

REPORT = "report"
"""An execution that another one began has ended."""

ORIGIN = "origin"
"""The argument of a job that says which request it comes from, and, under `TENANT`, whose it is."""

TENANT = "tenant"

QUEUE = "executions"
"""For jobs that take no time: every worker does them."""

JOBS = (DRIVE, RING, EXPIRE, REPORT)


def queue_of(name: str) -> str:
    """The queue of executions that are for the workers of that name (see `store.get_queue`)."""
    return f"{QUEUE} {name}"


_LISTEN_AGAIN_SECONDS = 1.0
_END_AGAIN_SECONDS = 0.5

_PATIENCE_SECONDS = 30.0
"""For how long it is tried to write down that a job has ended."""

_PATIENT = RetryStrategy(linear_wait=1)
"""A job that fails is tried again, each time a second later: nothing else would ring for what waits."""


class _Connector(PsycopgConnector):
    """The library's connector on our pool, whose connections are in autocommit already: the library's own listener
    cannot open a further one of those."""

    async def listen_notify(self, on_notification: Notify, channels: Iterable[str]) -> None:
        """Hears of new jobs at once. Where that cannot be, behind a pooler, workers still look now and then."""
        conninfo, options = str(self.pool.conninfo), cast("dict[str, Any]", self.pool.kwargs)
        while True:
            try:
                async with await AsyncConnection.connect(conninfo, **options) as conn:
                    await configure(conn, pooled=await is_pooled(conn))
                    for channel in channels:
                        await conn.execute(SQL("LISTEN {}").format(Identifier(channel)))
                    async for heard in conn.notifies():
                        await on_notification(channel=heard.channel, payload=heard.payload)
            except OperationalError as error:
                logger.warning("listening for jobs failed: %s", error)
            await asyncio.sleep(_LISTEN_AGAIN_SECONDS)

    async def execute_query_async(self, query: LiteralString, **arguments: Any) -> None:
        """The library uses it to end a job. That is tried for a while: a job that seems to run for ever holds up
        all others of its execution. One that is not there any more was given to another worker."""
        deadline = asyncio.get_running_loop().time() + _PATIENCE_SECONDS
        while True:
            try:
                await super().execute_query_async(query, **arguments)
                return
            except ConnectorException as error:
                if isinstance(error.__cause__, RaiseException):
                    logger.info("job already taken by another worker: %s", error.__cause__)
                    return
                if not _is_away(error) or asyncio.get_running_loop().time() > deadline:
                    raise
            await asyncio.sleep(_END_AGAIN_SECONDS)


def _is_away(error: ConnectorException) -> bool:
    cause = error.__cause__
    return isinstance(cause, OperationalError | InterfaceError) and not isinstance(cause, PoolClosed)


async def prepare_queue(pool: Pool) -> None:
    """Makes procrastinate's tables, unless they are there; the caller holds `migrations.schema_lock`."""
    jobs = Jobs()
    await jobs.open(pool)
    if not await jobs.app.check_connection_async():
        await jobs.app.schema_manager.apply_schema_async()
    async with connection(pool) as conn:
        await store.index_jobs(conn)


class _JobManager(JobManager):
    """The library's, for workers that outlive the absence of their database, and take jobs of tenants in turns."""

    def __init__(self, connector: BaseConnector) -> None:
        super().__init__(connector)
        self.shares = Shares()
        self.on_taken: Callable[[str, float], None] = lambda queue, waited: None
        self.worker_id = 0
        self.failures = 0
        """How often that worker could not look for a job, and may have been given one that it did not hear of."""

    async def fetch_job(self, queues: Iterable[str] | None, worker_id: int) -> Job | None:
        """None, too, when the database is away, or others have taken the worker for dead meanwhile: the library's
        worker would end, and take no more jobs before those that it has in hand have ended."""
        self.worker_id = worker_id
        try:
            rows = await self.connector.execute_query_all_async(
                store.sql.take_job_in_turns,
                queues=None if queues is None else list(queues),
                worker_id=worker_id,
                order=self.shares.order,
                full=self.shares.full,
            )
        except ConnectorException as error:
            if not _is_away(error) and not isinstance(error.__cause__, ForeignKeyViolation):
                raise
            logger.warning("fetching a job failed: %s", error.__cause__)
            self.failures += 1
            return None
        if not rows:
            return None
        job = Job.from_row(rows[0])
        assert job.id is not None
        self.shares.take(job.id, rows[0]["tenant_id"])
        self.on_taken(rows[0]["queue_name"], max(0.0, rows[0]["waited"]))
        return job


class Jobs:
    """Puts jobs into the queue, each in the transaction of what makes it necessary.

    Raises `DatabaseUnavailable`: the library's own errors would be taken for bugs.
    """

    def __init__(self) -> None:
        self.app = App(connector=_Connector())
        self.app.job_manager = self._manager = _JobManager(self.app.connector)
        self.on_end: Callable[[], None] = lambda: None
        """Told when a job has ended: there may be room for another one of its tenant."""
        self._unheard: set[int] = set()
        self._failures_cleared_up = 0

    def tell_waits(self, told: Callable[[str, float], None]) -> None:
        """`told` hears of each job that this process takes: its queue, and how many seconds it has waited."""
        self._manager.on_taken = told

    async def open(self, pool: Pool) -> None:
        """Uses the process's own pool; whoever opened it closes it."""
        await self.app.open_async(pool)

    @property
    def shares(self) -> Shares:
        """Whose jobs the worker of this process has in hand."""
        return self._manager.shares

    async def defer_drive(self, conn: Connection, execution_id: UUID) -> None:
        """One worker at a time has an execution in hand: jobs of one lock run one after the other."""
        name, tenant_id = await store.get_queue(conn, execution_id)
        lock = f"execution {execution_id}"
        arguments = {"execution_id": str(execution_id)}
        await self._defer(conn, DRIVE, arguments, queue=queue_of(name), lock=lock, tenant_id=tenant_id)

    async def defer_ring(self, conn: Connection, wait_id: UUID, at: datetime) -> None:
        await self._defer(conn, RING, {"wait_id": str(wait_id)}, schedule_at=at)

    async def defer_expire(self, conn: Connection, execution_id: UUID, at: datetime) -> None:
        await self._defer(conn, EXPIRE, {"execution_id": str(execution_id)}, schedule_at=at)

    async def defer_report(self, conn: Connection, execution_id: UUID) -> None:
        await self._defer(conn, REPORT, {"execution_id": str(execution_id)})

    async def list_stalled(
        self, conn: Connection, seconds: float, limit: int, but: Collection[Hashable]
    ) -> list[int]:
        """What workers had in hand of which nothing was heard for so long."""
        return await store.list_stalled_jobs(conn, JOBS, seconds, limit, but)

    async def defer_stalled(self, conn: Connection, job_id: int, seconds: float) -> list[str]:
        """Queues one of them once more, unless its worker is back; returns which job.

        It becomes a new job: when its worker is there after all, it ends the old one, which is gone, and not the
        one that another worker has.
        """
        return await self._defer_again(conn, await store.take_stalled_job(conn, job_id, seconds))

    @property
    def may_not_have_heard(self) -> bool:
        """Whether there may be something for `defer_unheard`."""
        return self._manager.failures > self._failures_cleared_up

    async def defer_unheard(self, conn: Connection) -> list[str]:
        """Queues once more what the database has given this process while the connection broke, so that it knows
        nothing of it; returns which jobs. To be called now and then: it is what is not known twice in a row."""
        failures = self._manager.failures
        given = set(await store.list_jobs_of(conn, self._manager.worker_id)) - self.shares.in_hand
        twice, self._unheard = given & self._unheard, given
        if not given:
            self._failures_cleared_up = failures
        return await self._defer_again(conn, await store.take_jobs(conn, JOBS, sorted(twice)) if twice else [])

    async def _defer_again(self, conn: Connection, taken: Sequence[StalledJob]) -> list[str]:
        for job in taken:
            await self._defer(conn, job.name, job.arguments, queue=job.queue, lock=job.lock)
        return [f"{job.name} {' '.join(_named_by(job.arguments))}" for job in taken]

    def register(self, name: str, function: Callable[..., Coroutine[Any, Any, None]]) -> None:
        """Tells the worker of this process what to do for jobs of that name; the function is given the job too."""

        async def run(context: JobContext, /, **arguments: Any) -> None:
            take_over(arguments.pop(ORIGIN, {}))
            job_id = context.job.id
            assert job_id is not None
            try:
                await spanned(f"job {name}", function(context, **arguments), arguments)
            finally:
                self.shares.end(job_id)
                self.on_end()

        self.app.task(name=name, queue=QUEUE, retry=_PATIENT, pass_context=True)(run)

    async def _defer(
        self,
        conn: Connection,
        name: str,
        arguments: Mapping[str, Any],
        *,
        queue: str = QUEUE,
        lock: str | None = None,
        schedule_at: datetime | None = None,
        tenant_id: str | None = None,
    ) -> None:
        task: Any = self.app.configure_task(name, queue=queue, lock=lock, schedule_at=schedule_at, connection=conn)
        began = origin() | ({TENANT: tenant_id} if tenant_id else {})
        try:
            await task.defer_async(**{**({ORIGIN: began} if began else {}), **arguments})
        except ConnectorException as error:
            if not _is_away(error):
                raise
            raise DatabaseUnavailable("the database went away while a job was put into the queue") from error


def _named_by(arguments: Mapping[str, Any]) -> list[str]:
    return [str(value) for name, value in arguments.items() if name != ORIGIN]
