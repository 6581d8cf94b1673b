"""Databases with as many rows as it takes, written by PostgreSQL itself; through an API it would take hours."""

from psycopg import AsyncConnection

from groundwork.sql import Queries

sql = Queries("benchmarks", "filled.sql")


async def fill(dsn: str, statement: str, **given: object) -> None:
    """Runs a statement of `filled.sql`, and lets PostgreSQL look at what has become of the tables. After the
    checkpoint, the first change of each page costs a page of log, as it does in a database that has been there."""
    async with await AsyncConnection.connect(dsn, autocommit=True) as conn:
        await conn.execute("SET synchronous_commit = off")
        await conn.execute(getattr(sql, statement), given)
        await conn.execute("VACUUM ANALYZE")
        await conn.execute("CHECKPOINT")
