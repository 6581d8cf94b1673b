"""Sizes and counts of tables. Every function takes a connection, and changes nothing."""

from collections import Counter
from collections.abc import Mapping, Sequence

from psycopg.sql import SQL, Identifier

from agent_runtime.storage.models import TableSize, ThreadSize
from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries

sql = Queries("agent_runtime.storage")

_COUNTED_PAGES = 1024
"""A table of so many pages is counted: it takes milliseconds, and the catalog may know nothing of it yet."""

_LOOKED_UP = 1000


async def list_tables(conn: Connection, tables: Sequence[str]) -> list[TableSize]:
    """Return those of the tables that are there, the largest first."""
    cursor = await conn.execute(sql.list_tables, {"tables": list(tables)})
    sizes = []
    for row in await cursor.fetchall():
        if row["pages"] <= _COUNTED_PAGES:
            row["rows"] = await _count(conn, row["name"])
        sizes.append(TableSize(**row))
    return sizes


async def _count(conn: Connection, table: str) -> int:
    statement = SQL("SELECT count(*) AS rows FROM {}").format(Identifier(table))
    row = await (await conn.execute(statement)).fetchone()
    assert row is not None
    return int(row["rows"])


async def list_largest_threads(
    conn: Connection, agent_id: str, percents: Mapping[str, float], limit: int
) -> list[ThreadSize]:
    """Return the agent's largest threads by what `percents` of the tables' pages say of them."""
    parameters = {**percents, "agent_id": agent_id, "looked_up": _LOOKED_UP, "limit": limit}
    cursor = await conn.execute(sql.list_largest_threads, parameters)
    return [ThreadSize(**row) for row in await cursor.fetchall()]


async def find_days_observed(conn: Connection, agent_id: str) -> float | None:
    row = await (await conn.execute(sql.find_days_observed, {"agent_id": agent_id})).fetchone()
    return None if row is None else row["days"]


async def measure_new_rows(conn: Connection, seconds: float, percents: Mapping[str, float]) -> dict[str, float]:
    """Return what share of the rows is younger than that, by table; a table without rows is not in it."""
    cursor = await conn.execute(sql.measure_new_rows, {"seconds": seconds, **percents})
    return {row["name"]: row["share"] for row in await cursor.fetchall() if row["share"] is not None}


async def count_past_checkpoints(conn: Connection, thread_ids: Sequence[str], keep: int) -> Counter[str]:
    """Return how many rows come before the `keep` latest checkpoints of the threads, by table."""
    parameters = {"thread_ids": list(thread_ids), "keep": keep}
    row = await (await conn.execute(sql.count_past_checkpoints, parameters)).fetchone()
    assert row is not None
    return Counter(row)


async def count_old_records(conn: Connection, agent_id: str, days: int) -> int:
    row = await (await conn.execute(sql.count_old_records, {"agent_id": agent_id, "days": days})).fetchone()
    assert row is not None
    return int(row["rows"])


async def count_old_keys(conn: Connection, agent_id: str, hours: int) -> int:
    row = await (await conn.execute(sql.count_old_keys, {"agent_id": agent_id, "hours": hours})).fetchone()
    assert row is not None
    return int(row["rows"])
