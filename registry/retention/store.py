"""What is old in a registry's database. Callers bring the transaction."""

from collections.abc import Sequence
from typing import Any, Literal, NamedTuple
from uuid import UUID

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries

sql = Queries("registry.retention")

Kind = Literal["executions", "artifacts"]


class OldExecution(NamedTuple):
    """An execution that has been over for long enough."""

    tenant_id: str
    execution_id: UUID


async def open_sweep(conn: Connection, kind: Kind) -> None:
    """Make the row that `take_sweep` holds, unless it is there."""
    await conn.execute(sql.open_sweep, {"kind": kind})


async def take_sweep(conn: Connection, kind: Kind) -> bool:
    """Whether the next step of the sweep is the caller's, until the transaction ends."""
    return await (await conn.execute(sql.take_sweep, {"kind": kind})).fetchone() is not None


async def end_pass(conn: Connection, kind: Kind, pause_seconds: float) -> None:
    """The next pass begins when the pause is over."""
    await conn.execute(sql.end_pass, {"kind": kind, "pause_seconds": pause_seconds})


async def list_old_executions(
    conn: Connection, seconds: float, limit: int, but: Sequence[Any]
) -> list[OldExecution]:
    """Return executions that ended so long ago, the oldest first, without `but`."""
    given = {"seconds": seconds, "limit": limit, "but": list(but)}
    rows = await (await conn.execute(sql.list_old_executions, given)).fetchall()
    return [OldExecution(**row) for row in rows]


async def remove_old_artifacts(conn: Connection, seconds: float, limit: int) -> int:
    """Remove artifacts that nobody has put for so long, but those that an execution which goes on speaks of, and
    return how many."""
    old = await (await conn.execute(sql.has_old_artifacts, {"seconds": seconds})).fetchone()
    if old is None:  # what goes on need not be read then
        return 0
    cursor = await conn.execute(sql.remove_old_artifacts, {"seconds": seconds, "limit": limit})
    return cursor.rowcount
