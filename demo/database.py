"""Looking into the agent's database behind its back, to see whether what it says is so."""

from pathlib import Path

import psycopg
from psycopg import sql

from groundwork.postgres.embedded import open_embedded

_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY tablename"


async def rows_naming(data: Path, text: str) -> dict[str, int]:
    """How many rows of each table have `text` anywhere in them; tables without one are left out."""
    async with open_embedded(data) as dsn, await psycopg.AsyncConnection.connect(dsn) as conn:
        found = {}
        for (table,) in await (await conn.execute(_TABLES)).fetchall():
            count = sql.SQL("SELECT count(*) FROM {table} AS row WHERE strpos(row::text, %(text)s) > 0")
            cursor = await conn.execute(count.format(table=sql.Identifier(table)), {"text": text})
            (found[table],) = await cursor.fetchone() or (0,)
        return {table: rows for table, rows in found.items() if rows}
