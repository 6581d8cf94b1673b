"""The process's one connection pool, and what its errors mean to us."""

import logging
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from contextvars import ContextVar
from typing import Any, Literal, TypeVar

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool, PoolClosed, PoolTimeout

from groundwork.budget import TooFewConnections, check_budget, name_of_connections
from groundwork.tracing import connection_options

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
        name=name,
        open=False,
    )
    async with pool:
        yield pool


async def connect_beside(pool: Pool) -> Connection:
    """Return a connection that is opened like those of the pool and is not of it; the caller closes it."""
    assert isinstance(pool.conninfo, str)
    assert isinstance(pool.kwargs, dict)
    return await AsyncConnection[DictRow].connect(pool.conninfo, **pool.kwargs)


async def run_repeatable(pool: Pool, work: Callable[[Connection], Awaitable[Result]]) -> Result:
    """Does `work` on a connection that is not checked before, and once more on one that is, when the first turns
    out to be broken. A check is a round trip, which next to a small statement is half of all there is to do.

    `work` is one statement, or several that are right each for itself, and may be done twice: when a connection
    breaks, nobody knows whether what was sent on it was done. Raises what `work` raises, and what the pool does.
    """
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
        logger.info("a connection of the pool was broken, another is taken: %s", error)
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
        **_SOCKET_OPTIONS,
    }


async def _first_connection(dsn: str, name: str, size: int) -> bool:
    """Tries the server once and finds out whether a pooler stands in between; if not, whether there is room.

    A pooler hands out a backend id of its own making at connection time, the server answers with the
    real one; PgBouncer is recognised by that difference without asking it anything of its own.
    """
    try:
        async with await AsyncConnection.connect(dsn, autocommit=True, **_SOCKET_OPTIONS) as conn:
            row = await (await conn.execute("SELECT pg_backend_pid()", prepare=False)).fetchone()
            if row is not None and row[0] == conn.info.backend_pid:
                await check_budget(conn, name, size)
                return False
    except TooFewConnections as error:
        raise DatabaseNotReachable(f"PostgreSQL at {describe(dsn)}: {error}") from None
    except psycopg.Error as error:
        raise DatabaseNotReachable(f"cannot connect to PostgreSQL at {describe(dsn)}: {error}") from error
    return True


def _default_threshold(pooled: bool) -> int | None:
    if not pooled:
        return 5
    logger.info("a connection pooler stands before PostgreSQL: prepared statements are off")
    return None


async def check_database(pool: Pool, timeout: float = 2.0) -> None:
    """Raises `DatabaseUnavailable` unless a statement gets through within `timeout` seconds."""
    with database_errors():
        async with pool.connection(timeout=timeout) as conn:
            await conn.execute("SELECT 1")


def describe(dsn: str) -> str:
    """The address in a DSN, without user, password or options, for messages and logs."""
    try:
        parts = psycopg.conninfo.conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        return "an address that cannot be parsed"
    return f"{parts.get('host', 'localhost')}:{parts.get('port', 5432)}/{parts.get('dbname', 'postgres')}"


def mask_password(dsn: str) -> str:
    """The DSN with its passwords replaced by `***`; `""` stays empty.

    When a password may still be in it, `***` is all that is returned.
    """
    try:
        secrets = _passwords(dsn)
        if not secrets:
            return dsn
        if "://" in dsn:
            masked = re.sub(r"^([^:]+://[^:@/]*):[^@/]*@", r"\1:***@", dsn)
            masked = re.sub(r"([?&](?:ssl)?password=)[^&]*", r"\1***", masked)
        else:
            masked = make_conninfo(dsn, **dict.fromkeys(secrets, "***"))
        hidden = set(_passwords(masked).values()) == {"***"}
    except psycopg.ProgrammingError:
        return "***"
    return masked if hidden else "***"


def _passwords(dsn: str) -> dict[str, str]:
    parts = psycopg.conninfo.conninfo_to_dict(dsn)
    return {name: str(parts[name]) for name in ("password", "sslpassword") if parts.get(name)}


def is_dsn(text: str) -> bool:
    """Whether the text can be read as a connection string; nothing is connected to."""
    try:
        psycopg.conninfo.conninfo_to_dict(text)
    except psycopg.ProgrammingError:
        return False
    return True


def passwords_in(dsn: str) -> list[str]:
    """The password of a DSN, if it has one."""
    try:
        password = psycopg.conninfo.conninfo_to_dict(dsn).get("password")
    except psycopg.ProgrammingError:
        return []
    return [str(password)] if password else []


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
