"""What was deleted goes from the files of the embedded server, too."""

import asyncio
from typing import LiteralString

import psycopg

PATIENCE_SECONDS = 120.0

_WAL_FILES = "SELECT name FROM pg_ls_waldir()"


class ScrubFailed(Exception):
    """The server goes on as before, and its files may still hold what was deleted."""


async def scrub(dsn: str) -> None:
    """Rewrite every table of the database, and end every file of the write-ahead log that there is now.

    A deleted row stays in the file of its table until something else is written there, and in the log until its
    file is used again. Whoever works on a table meanwhile waits for it. Raises `ScrubFailed`.
    """
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        await conn.execute("VACUUM (FULL, ANALYZE)")
        await conn.execute("VACUUM FULL pg_catalog.pg_statistic")  # which has held samples of the rows
        before = await _names(conn)
        # Without it a file of the log that is no longer needed is given another name, and keeps what is in it.
        await _set(conn, "ALTER SYSTEM SET wal_recycle = off")
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while before & await _names(conn):
                    await conn.execute("SELECT pg_switch_wal()")
                    await conn.execute("CHECKPOINT")
        except TimeoutError:
            raise ScrubFailed("the write-ahead log is still in use; try again when nothing is written") from None
        finally:
            await _set(conn, "ALTER SYSTEM RESET wal_recycle")


async def _names(conn: psycopg.AsyncConnection) -> set[str]:
    return {name for (name,) in await (await conn.execute(_WAL_FILES)).fetchall()}


async def _set(conn: psycopg.AsyncConnection, statement: LiteralString) -> None:
    await conn.execute(statement)
    await conn.execute("SELECT pg_reload_conf()")
