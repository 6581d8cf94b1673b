"""Databases with as many rows as it takes, written by PostgreSQL itself; through an API it would take hours."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from psycopg import AsyncConnection

from groundwork.postgres.pool import Pool, open_pool
from groundwork.postgres.sql import Queries

sql = Queries("benchmarks", "filled.sql")


async def fill(dsn: str, *statements: str, **given: object) -> None:
    """Runs statements of `filled.sql` side by side, and lets PostgreSQL look at what has become of the tables.
    After the checkpoint, the first change of each page costs a page of log, as in an older database."""
    async with asyncio.TaskGroup() as group:
        for statement in statements:
            group.create_task(_run(dsn, getattr(sql, statement), given))
    await _run(dsn, "VACUUM ANALYZE")
    await _run(dsn, "CHECKPOINT")


async def _run(dsn: str, statement: str, given: Mapping[str, object] | None = None) -> None:
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        await conn.execute("SET synchronous_commit = off")
        await conn.execute(statement.encode(), given)


async def prepared(dsn: str, prepare: Callable[[Pool], Awaitable[None]]) -> None:
    """Brings an empty database to the schema of a service."""
    async with open_pool(dsn, name="bench", max_size=2) as pool:
        await prepare(pool)
