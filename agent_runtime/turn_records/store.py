"""The rows behind records of turns. Every function takes a connection; the service opens transactions."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from decimal import Decimal
from typing import Any, NamedTuple

from agent_runtime.turn_records.models import GroupBy, Position, RecordFilter, TurnRecord, Usage
from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries

sql = Queries("agent_runtime.turn_records")

MOST_OF_A_TASK = 100


class Spent(NamedTuple):
    tokens: int
    cost: Decimal


async def list_records(
    conn: Connection, agent_id: str, wanted: RecordFilter, limit: int, after: Position | None
) -> list[TurnRecord]:
    parameters = {
        **asdict(wanted),
        "agent_id": agent_id,
        "limit": limit,
        "after_at": after.accepted_at if after else None,
        "after_id": after.turn_id if after else None,
    }
    # Planned for these filters each time: one plan for all of them would use one index for all of them.
    rows = await (await conn.execute(sql.list_records, parameters, prepare=False)).fetchall()
    return [TurnRecord(**row) for row in rows]


async def list_records_of_task(conn: Connection, agent_id: str, task_id: str) -> list[TurnRecord]:
    """The task's turns, the latest first."""
    parameters = {"agent_id": agent_id, "task_id": task_id, "limit": MOST_OF_A_TASK}
    rows = await (await conn.execute(sql.list_records_of_task, parameters)).fetchall()
    return [TurnRecord(**row) for row in rows]


async def sum_usage(
    conn: Connection, agent_id: str, by: GroupBy, wanted: RecordFilter, limit: int
) -> tuple[Usage, Sequence[Usage]]:
    """The sum of all, and the first `limit` groups."""
    parameters: dict[str, Any] = {
        "agent_id": agent_id,
        "by": by,
        "since": wanted.since,
        "until": wanted.until,
        "limit": limit if by == "model" else limit + 1,
    }
    statement = sql.sum_usage_by_model if by == "model" else sql.sum_usage
    rows = await (await conn.execute(statement, parameters, prepare=False)).fetchall()
    sums = [row for row in rows if row.pop("is_total")]
    groups = [Usage(**row) for row in rows if row not in sums]
    return Usage(**sums[0]), groups


async def prune_records(conn: Connection, agent_id: str, days: int, limit: int) -> int:
    """Removes up to `limit` records that are older. Returns how many there were."""
    parameters = {"agent_id": agent_id, "days": days, "limit": limit}
    return (await conn.execute(sql.prune_records, parameters)).rowcount


async def sum_of_today(conn: Connection, agent_id: str) -> Mapping[str, Spent]:
    """What the turns of the day have used, by caller."""
    rows = await (await conn.execute(sql.sum_of_today, {"agent_id": agent_id})).fetchall()
    return {row["caller"]: Spent(row["tokens"], row["cost"]) for row in rows}


async def seconds_left_today(conn: Connection) -> float:
    row = await (await conn.execute(sql.seconds_left_today)).fetchone()
    assert row is not None
    return float(row["seconds"])
