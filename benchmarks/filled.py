"""Databases with as many rows as it takes, written by PostgreSQL itself; through an API it would take hours."""

from collections.abc import Awaitable, Callable

from psycopg import AsyncConnection

from groundwork.postgres import Pool, open_pool
from groundwork.sql import Queries

sql = Queries("benchmarks", "filled.sql")


async def fill(dsn: str, *statements: str, **given: object) -> None:
    """Runs statements of `filled.sql`, and lets PostgreSQL look at what has become of the tables. After the
    checkpoint, the first change of each page costs a page of log, as it does in a database that has been there."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        await conn.execute("SET synchronous_commit = off")
        for statement in statements:
            await conn.execute(getattr(sql, statement), given)
        await conn.execute("VACUUM ANALYZE")
        await conn.execute("CHECKPOINT")


async def prepared(dsn: str, prepare: Callable[[Pool], Awaitable[None]]) -> None:
    """Brings an empty database to the schema of a service."""
    async with open_pool(dsn, name="bench", max_size=2) as pool:
        await prepare(pool)
