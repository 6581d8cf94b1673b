"""The process's one connection pool, and what its errors mean to us."""

import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any, Literal, TypeVar

import psycopg
from psycopg import AsyncConnection, IsolationLevel
from psycopg.rows import DictRow, dict_row, scalar_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from groundwork.postgres.budget import TooFewConnections, check_budget, name_of_connections
from groundwork.postgres.dsn import describe, without_names
from groundwork.telemetry.tracing import connection_options

logger = logging.getLogger(__name__)

Connection = AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Connection]

PrepareThreshold = int | None | Literal["auto"]

Result = TypeVar("Result")

_is_trusted: ContextVar[bool] = ContextVar("_is_trusted", default=False)
"""Whether the connection that is being taken from the pool is used as it is."""

# A server that stops answering is noticed within these bounds instead of the kernel's quarter of an hour.
_SOCKET_OPTIONS: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives": 1,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,
}


class DatabaseUnavailable(Exception):
    """The database cannot be reached, or gave up on the connection in the middle."""


class DatabaseNotReachable(DatabaseUnavailable):
    """The database could not be reached at start-up; the message says which one and why."""


@asynccontextmanager
async def open_pool(
    dsn: str,
    *,
    name: str,
    max_size: int = 10,
    checkout_timeout: float = 5.0,
    prepare_threshold: PrepareThreshold = "auto",
    beside: int = 0,
) -> AsyncIterator[Pool]:
    """Opens a bounded pool of autocommit connections with `dict_row`, and closes it with the block.

    Connections are checked when they are taken (but see `run_repeatable`), so one that the server or a middlebox
    has dropped is replaced instead of failing a request, and they are renewed after half an hour.

    `prepare_threshold` is psycopg's: after how many runs a statement is prepared, `None` for never. With
    `"auto"` it is psycopg's default on a direct connection and `None` behind a pooler such as PgBouncer,
    where a prepared statement may land on another server connection.

    `checkout_timeout` is in seconds; `beside` is how many connections the process opens beside the pool's. Raises
    `DatabaseNotReachable` when no first connection can be made, or when there cannot be as many as that.
    """
    pooled = await _first_connection(dsn, name, max_size + beside)
    threshold = _default_threshold(pooled) if prepare_threshold == "auto" else prepare_threshold
    pool: Pool = AsyncConnectionPool(
        dsn,
        connection_class=AsyncConnection[DictRow],
        kwargs={
            **connection_kwargs(threshold),
            **name_of_connections(dsn, name, max_size + beside),
            **connection_options(),
        },
        min_size=1,
        max_size=max_size,
        timeout=checkout_timeout,
        max_lifetime=1800,
        max_idle=300,
        reconnect_timeout=5,
        check=_check_unless_trusted,
        configure=partial(configure, pooled=pooled),
        name=name,
        open=False,
    )
    async with pool:
        yield pool


@asynccontextmanager
async def connection(pool: Pool, timeout: float | None = None) -> AsyncIterator[Connection]:
    """Lend a connection of the pool, each statement of which is a transaction of its own.

    Raises `DatabaseUnavailable` when there is none within `timeout` seconds (default: the pool's), and when it
    breaks off in the middle.
    """
    with database_errors():
        async with pool.connection(timeout) as conn:
            yield conn


@asynccontextmanager
async def transaction(pool: Pool) -> AsyncIterator[Connection]:
    """Lend a connection of the pool with one transaction around the whole block. Raises as `connection` does."""
    async with connection(pool) as conn, conn.transaction():
        yield conn


async def connect_beside(pool: Pool) -> Connection:
    """Return a connection that is opened like those of the pool and is not of it; the caller closes it."""
    assert isinstance(pool.conninfo, str)
    assert isinstance(pool.kwargs, dict)
    return await AsyncConnection[DictRow].connect(pool.conninfo, **pool.kwargs)


async def run_repeatable(pool: Pool, work: Callable[[Connection], Awaitable[Result]]) -> Result:
    """Do `work` on a connection that is not checked before, and once more on one that is, when the first turns out
    to be broken. A check is a round trip, which next to a small statement is half of all there is to do.

    `work` is one statement, or several that are right each for itself, and may be done twice: when a connection
    breaks, nobody knows whether what was sent on it was done. Raises what `work` raises, or `DatabaseUnavailable`.
    """
    with database_errors():
        token = _is_trusted.set(True)
        try:
            conn = await pool.getconn()
        finally:
            _is_trusted.reset(token)
        try:
            return await work(conn)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if not conn.broken:
                raise
            logger.info("pooled connection broken, retrying on another: %s", error)
        finally:
            await pool.putconn(conn)
        async with pool.connection() as checked:
            return await work(checked)


async def _check_unless_trusted(conn: Connection) -> None:
    if not _is_trusted.get():
        await AsyncConnectionPool.check_connection(conn)


def connection_kwargs(prepare_threshold: int | None) -> dict[str, Any]:
    """What every connection of ours is opened with.

    Autocommit, because `AsyncPostgresSaver.setup()` creates indexes concurrently; `conn.transaction()`
    is what makes several statements one.
    """
    return {
        "autocommit": True,
        "row_factory": dict_row,
        "prepare_threshold": prepare_threshold,
        "client_encoding": "utf8",
        **_SOCKET_OPTIONS,
    }


# What the driver reads and our statements mean must not hang on what is set for the database or the role. These a
# pooler carries from one connection of the server to the next.
_FORMATS = {"TimeZone": "UTC", "DateStyle": "ISO, MDY", "standard_conforming_strings": "on"}

# A statement outside a transaction block has no other place to take these from. Timeouts of statements, locks and
# idle transactions stay what the operator has made them.
_DEFAULTS = {
    "default_transaction_isolation": "read committed",
    "default_transaction_read_only": "off",
    "default_transaction_deferrable": "off",
    "idle_session_timeout": "0",
    "IntervalStyle": "postgres",
}


async def configure(conn: AsyncConnection[Any], *, pooled: bool) -> None:
    """Make a new connection independent of the defaults of its database and role.

    Behind a pooler (`pooled`) nothing is set that would stay behind on a connection of the server, for whoever
    gets it next; `_first_connection` has seen that there is no need.
    """
    await conn.set_isolation_level(IsolationLevel.READ_COMMITTED)
    await conn.set_read_only(False)
    await conn.set_deferrable(False)
    wanted = _FORMATS if pooled else {**_FORMATS, **_DEFAULTS}
    query = "SELECT set_config(name, value, false) FROM unnest(%s::text[], %s::text[]) AS wanted (name, value)"
    await conn.execute(query, [list(wanted), list(wanted.values())], prepare=False)


async def is_pooled(conn: AsyncConnection[Any]) -> bool:
    """Whether a pooler stands in between.

    It hands out a backend id of its own making at connection time, the server answers with the real one; PgBouncer
    is recognised by that difference without asking it anything of its own.
    """
    cursor = conn.cursor(row_factory=scalar_row)
    row = await (await cursor.execute("SELECT pg_backend_pid()", prepare=False)).fetchone()
    return bool(row != conn.info.backend_pid)


async def _first_connection(dsn: str, name: str, size: int) -> bool:
    """Try the server once and find out whether a pooler stands in between; if not, whether there is room."""
    try:
        async with await AsyncConnection.connect(dsn, autocommit=True, **_SOCKET_OPTIONS) as conn:
            if pooled := await is_pooled(conn):
                await _check_defaults(conn)
            else:
                await check_budget(conn, name, size)
            return pooled
    except (TooFewConnections, _UnfitDefaults) as error:
        raise DatabaseNotReachable(f"PostgreSQL at {describe(dsn)}: {error}") from None
    except psycopg.Error as error:
        reason = without_names(str(error), dsn)
        raise DatabaseNotReachable(f"cannot connect to PostgreSQL at {describe(dsn)}: {reason}") from error


class _UnfitDefaults(Exception):
    """The connections that a pooler hands out begin with settings that nobody can change for one client alone."""


async def _check_defaults(conn: AsyncConnection[Any]) -> None:
    cursor = conn.cursor(row_factory=scalar_row)
    for setting in ("default_transaction_isolation", "default_transaction_read_only"):
        value = await (await cursor.execute("SELECT current_setting(%s)", [setting], prepare=False)).fetchone()
        if value != _DEFAULTS[setting]:
            raise _UnfitDefaults(
                f"behind a pooler, {setting} has to be {_DEFAULTS[setting]!r} and is {value!r}; change it with"
                " ALTER ROLE … SET for the role that the pooler connects as, or connect without the pooler"
            )


def _default_threshold(pooled: bool) -> int | None:
    if not pooled:
        return 5
    logger.info("connection pooler detected, prepared statements are off")
    return None


async def check_database(pool: Pool, timeout: float = 2.0) -> None:
    """Raises `DatabaseUnavailable` unless a statement gets through within `timeout` seconds."""
    async with connection(pool, timeout) as conn:
        await conn.execute("SELECT 1")


_REFUSALS: dict[type[psycopg.Error], str] = {
    psycopg.errors.ReadOnlySqlTransaction: "a standby for example; name the server that takes writes",
    psycopg.errors.InsufficientPrivilege: "the role needs that right, or one that has it runs `migrate`",
    psycopg.errors.InvalidSchemaName: "the first schema in search_path has to exist before the start",
    psycopg.errors.UndefinedTable: "its schema is not this release's; run `migrate`",
    psycopg.errors.UndefinedColumn: "its schema is not this release's; run `migrate`",
    psycopg.errors.UndefinedFunction: "its schema is not this release's; run `migrate`",
}


def refusal_of(error: psycopg.Error) -> str:
    """Why PostgreSQL does not let a command do its work, with what helps where that is known."""
    said = error.diag.message_primary or str(error) or type(error).__name__
    hint = next((text for kind, text in _REFUSALS.items() if isinstance(error, kind)), None)
    return f"PostgreSQL refuses: {said}" + (f" ({hint})" if hint else "")


@contextmanager
def database_errors() -> Iterator[None]:
    """Turns the driver's "the database is not there" errors into `DatabaseUnavailable`.

    Errors in a statement of ours (`ProgrammingError`, `DataError`, `IntegrityError`) pass unchanged:
    they are bugs or facts to be handled where they happen.
    """
    try:
        yield
    except psycopg.errors.ProgramLimitExceeded:
        raise  # too large a value: it will be so the next time, too
    except (PoolTimeout, PoolClosed, psycopg.OperationalError, psycopg.InterfaceError) as error:
        raise DatabaseUnavailable(f"the database cannot be used right now ({type(error).__name__})") from error
