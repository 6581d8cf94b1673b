"""The rows of a thread as text, on the way out and on the way in. Callers bring the transaction."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from psycopg.types.json import Json

from agent_runtime.errors import ThreadNotFound
from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries

sql = Queries("agent_runtime.exports")

EXPORTED_TABLES = (
    "agent_thread_metadata",
    "persistent_memory",
    "a2a_tasks",
    "checkpoints",
    "checkpoint_blobs",
    "checkpoint_writes",
)
"""In the order in which they are read again: what a thread goes on with."""

_OWNED = ("persistent_memory", "a2a_tasks")

_AT_ONCE = 10
"""How many rows come from the database at a time: one may be as large as a whole conversation."""


@dataclass(frozen=True)
class ExportedThread:
    """What is known of a thread beside its rows."""

    caller: str
    created_at: datetime
    updated_at: datetime
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class Kept:
    """Which checkpoints go out: the `whole` history, or of each namespace the one that is given."""

    whole: bool
    checkpoints: Mapping[str, str] = field(default_factory=dict)


async def get_thread(conn: Connection, agent_id: str, thread_id: str) -> ExportedThread:
    """Raises `ThreadNotFound`."""
    row = await (await conn.execute(sql.find_thread, {"agent_id": agent_id, "thread_id": thread_id})).fetchone()
    if row is None:
        raise ThreadNotFound(thread_id)
    return ExportedThread(**row)


async def list_tasks(conn: Connection, thread_id: str) -> AsyncIterator[tuple[str, bytes]]:
    """Yield the thread's tasks, the oldest first."""
    async with conn.cursor("exported_files") as cursor:
        cursor.itersize = _AT_ONCE
        await cursor.execute(sql.list_tasks, {"thread_id": thread_id})
        async for row in cursor:
            yield row["task_id"], row["task"]


async def list_kept_checkpoints(conn: Connection, thread_id: str) -> dict[str, str]:
    """Return the checkpoint of each namespace that the thread goes on from."""
    rows = await (await conn.execute(sql.list_kept_checkpoints, {"thread_id": thread_id})).fetchall()
    return {row["checkpoint_ns"]: row["checkpoint_id"] for row in rows}


async def export_rows(conn: Connection, table: str, thread_id: str, kept: Kept) -> AsyncIterator[str]:
    """Yield the thread's rows of a table, each as a JSON object on one line."""
    parameters = {
        "thread_id": thread_id,
        "whole": kept.whole,
        "namespaces": list(kept.checkpoints),
        "checkpoint_ids": list(kept.checkpoints.values()),
    }
    async with conn.cursor(f"exported_{table}") as cursor:
        cursor.itersize = _AT_ONCE
        await cursor.execute(getattr(sql, f"export_{table}"), parameters)
        async for row in cursor:
            yield row["row"]


async def import_row(
    conn: Connection, table: str, row: Mapping[str, Any], *, thread_id: str, owner_key: int, caller: str
) -> None:
    """Add a row of one of `EXPORTED_TABLES` to the thread, whatever thread, owner and caller the row names."""
    given = {**row, "thread_id": thread_id}
    if table in _OWNED:
        given["owner_key"] = owner_key
    if table == "a2a_tasks":
        given["caller"] = caller
    if table == "checkpoints" and isinstance(given.get("metadata"), dict):
        given["metadata"] = {name: value for name, value in given["metadata"].items() if name != "turn_id"}
    await conn.execute(getattr(sql, f"import_{table}"), {"row": Json(given)})
