"""The threads of one caller of an agent, as rows. Every function takes a connection."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from agent_runtime.errors import ThreadExists, ThreadNotFound
from agent_runtime.threads.store import claim_thread
from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries

sql = Queries("agent_runtime.threads", "callers.sql")


@dataclass(frozen=True)
class ThreadRow:
    """A thread without its state. What it is doing is in `list_states`."""

    thread_id: str
    owner_key: int
    created_at: datetime
    updated_at: datetime
    metadata: Mapping[str, Any]


@dataclass(frozen=True)
class ThreadFilter:
    """Which threads of a caller; `None` is no condition. `implied` holds for threads that do not say otherwise."""

    agent_id: str
    caller: str
    ids: Sequence[str] | None = None
    metadata: Mapping[str, Any] | None = None
    implied: Mapping[str, Any] | None = None
    status: str | None = None

    def parameters(self) -> dict[str, Any]:
        return {
            "agent_id": self.agent_id,
            "caller": self.caller,
            "ids": None if self.ids is None else list(self.ids),
            "metadata": Jsonb(self.metadata) if self.metadata else None,
            "implied": Jsonb(self.implied) if self.implied else None,
            "status": self.status,
        }


async def find_callers_thread(conn: Connection, agent_id: str, caller: str, thread_id: str) -> ThreadRow | None:
    parameters = {"agent_id": agent_id, "caller": caller, "thread_id": thread_id}
    row = await (await conn.execute(sql.find_callers_thread, parameters)).fetchone()
    return None if row is None else ThreadRow(**row)


async def get_callers_thread(conn: Connection, agent_id: str, caller: str, thread_id: str) -> ThreadRow:
    """Raises `ThreadNotFound`, also for a thread of somebody else."""
    row = await find_callers_thread(conn, agent_id, caller, thread_id)
    if row is None:
        raise ThreadNotFound(thread_id)
    return row


async def lock_callers_thread(conn: Connection, agent_id: str, caller: str, thread_id: str) -> int:
    """Returns the owner key of the thread, in which no turn is accepted until the transaction ends. Raises
    `ThreadNotFound`."""
    parameters = {"agent_id": agent_id, "caller": caller, "thread_id": thread_id}
    row = await (await conn.execute(sql.lock_callers_thread, parameters)).fetchone()
    if row is None:
        raise ThreadNotFound(thread_id)
    return int(row["owner_key"])


async def create_thread(
    conn: Connection, agent_id: str, caller: str, thread_id: str, metadata: Mapping[str, Any]
) -> None:
    """In a transaction: makes a thread in which nothing was said yet. Raises `ThreadExists`, `ThreadNotOurs`,
    `ThreadOfAnotherCaller`, `ThreadUnclaimed`."""
    if not (await claim_thread(conn, agent_id, thread_id, caller)).created:
        raise ThreadExists(thread_id)
    if metadata:
        await merge_metadata(conn, thread_id, metadata)


async def merge_metadata(conn: Connection, thread_id: str, metadata: Mapping[str, Any]) -> None:
    """Adds to what the thread's metadata says; a key that is there gets the new value."""
    await conn.execute(sql.merge_metadata, {"thread_id": thread_id, "metadata": Jsonb(metadata)})


async def touch_thread(conn: Connection, thread_id: str) -> None:
    await conn.execute(sql.touch_thread, {"thread_id": thread_id})


async def search_threads(
    conn: Connection, wanted: ThreadFilter, *, order: str, limit: int, offset: int
) -> list[ThreadRow]:
    """The threads in an order such as `updated_at desc`, from the one at `offset` on."""
    parameters = {**wanted.parameters(), "order": order, "limit": offset + limit, "offset": offset}
    rows = await (await conn.execute(sql.search_threads, parameters, prepare=False)).fetchall()
    return [ThreadRow(**row) for row in rows[:limit]]


async def count_matching_threads(conn: Connection, wanted: ThreadFilter) -> int:
    cursor = await conn.execute(sql.count_matching_threads, wanted.parameters(), prepare=False)
    row = await cursor.fetchone()
    assert row is not None
    return int(row["threads"])


async def copy_checkpoints(conn: Connection, thread_id: str, copy_id: str) -> None:
    await conn.execute(sql.copy_checkpoints, {"thread_id": thread_id, "copy_id": copy_id})


async def mark_temporary(conn: Connection, thread_id: str) -> None:
    """The thread goes when its run is over."""
    await conn.execute(sql.mark_temporary, {"thread_id": thread_id})


async def list_temporary_threads(conn: Connection, agent_id: str) -> list[str]:
    """Temporary threads whose run has been over for a minute: those that nobody has removed."""
    cursor = await conn.execute(sql.list_temporary_threads, {"agent_id": agent_id})
    return [row["thread_id"] for row in await cursor.fetchall()]
