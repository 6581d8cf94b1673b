"""The rows of what agents and executions have used. Every function takes a connection."""

from collections.abc import Iterable, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries
from registry.usage.models import DayOfUsage, GroupBy, Usage

sql = Queries("registry.usage")


async def put_usage(conn: Connection, told: Iterable[tuple[str, str, Sequence[DayOfUsage]]]) -> None:
    """Note what agents have told of their days, each by its tenant and id."""
    rows: list[dict[str, Any]] = [
        {"tenant_id": tenant_id, "agent_id": agent_id, **day.model_dump()}
        for tenant_id, agent_id, days in told
        for day in days
    ]
    if rows:
        await conn.execute(sql.put_usage, {"told": Jsonb(rows)})


async def first_day(conn: Connection, days: int) -> str:
    """Return the day that was so many days ago."""
    row = await (await conn.execute(sql.first_day, {"days": days})).fetchone()
    assert row is not None
    return str(row["day"])


async def sum_usage(
    conn: Connection, tenant_id: str, by: GroupBy, since: str, until: str | None, limit: int
) -> list[Usage]:
    """Return the sum of all, and the first `limit` groups."""
    given = {"tenant_id": tenant_id, "by": by, "since": since, "until": until, "limit": limit}
    rows = await (await conn.execute(sql.sum_usage, given, prepare=False)).fetchall()
    return [Usage(**row) for row in rows]
