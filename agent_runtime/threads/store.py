"""The rows behind threads and their owners. Every function takes a connection; the service opens transactions."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple
from uuid import UUID

from psycopg.types.json import Jsonb

from agent_runtime.errors import ThreadNotFound, ThreadNotOurs, ThreadOfAnotherCaller, ThreadUnclaimed
from agent_runtime.threads.erasure import ERASED_TABLES, Erasure
from agent_runtime.threads.ids import graph_names
from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries

sql = Queries("agent_runtime.threads")


@dataclass(frozen=True)
class ClaimedThread:
    """A thread that the caller's transaction holds: the key it is owned by, its long-term summary, and whether it
    was made just now."""

    owner_key: int
    summary: str | None
    created: bool = False


@dataclass(frozen=True)
class LatestMessages:
    """The `messages` channel of a thread's latest checkpoint, as it is stored.

    `version` is `None` when nothing was ever written to it. With a version, the value is in `blob` (of the
    serialiser's `type`), else inline in the checkpoint, else to be rebuilt from the writes before it.
    """

    checkpoint_id: str | None
    version: str | None
    is_inline: bool | None
    inline_value: Any
    type: str | None
    blob: bytes | None


@dataclass(frozen=True)
class StoredStep:
    """A checkpoint without its values. `inline_channels` are those whose value is in the checkpoint itself."""

    checkpoint_id: str
    parent_id: str | None
    metadata: dict[str, Any]
    created_at: str
    versions_seen: dict[str, dict[str, Any]]
    inline_channels: list[str]


@dataclass(frozen=True)
class StoredWrite:
    """What a node has written to a channel; `blob` is `None` where it is too long, or nothing at all."""

    checkpoint_id: str
    channel: str
    type: str | None
    size: int | None
    blob: bytes | None


ThreadState = Literal["idle", "busy", "interrupted", "error"]
"""`busy`: a turn runs or waits in the queue, in a process that lives. `interrupted`: a task waits for input.
`error`: the last turn failed, or its process has died and no other has taken it over yet. Else `idle`."""


class ListedThread(NamedTuple):
    position: int
    thread_id: str


class MovedKeys(NamedTuple):
    """Owner keys that have changed hands, and the position of the last thread that they had then."""

    owner_keys: list[int]
    last_position: int


async def ensure_owner_key(conn: Connection, agent_id: str) -> int:
    """The key under which the agent takes on threads, held until the transaction ends."""
    row = await (await conn.execute(sql.ensure_owner_key, {"agent_id": agent_id})).fetchone()
    assert row is not None
    return int(row["owner_key"])


async def claim_thread(
    conn: Connection, agent_id: str, thread_id: str, caller: str, *, adopt: bool = False
) -> ClaimedThread:
    """Makes the thread the agent's, opened by `caller`, unless it is already, and locks its row.

    To be called in a transaction: the lock is what lets turns of one thread in one at a time, and a claim that
    raises is undone with the transaction.

    Raises `ThreadNotOurs` and `ThreadOfAnotherCaller`; and `ThreadUnclaimed`, unless `adopt` is set, when another
    program has written checkpoints under that id, because the first turn would read them out to whoever asked.
    """
    parameters = {"agent_id": agent_id, "thread_id": thread_id, "caller": caller}
    row = await (await conn.execute(sql.claim_thread, parameters)).fetchone()
    assert row is not None
    if row["agent_id"] != agent_id:
        raise ThreadNotOurs(thread_id)
    if row["caller"] != caller:
        raise ThreadOfAnotherCaller(thread_id)
    if row["created"] and row["had_checkpoints"] and not adopt:
        raise ThreadUnclaimed(thread_id)
    return ClaimedThread(row["owner_key"], row["summary"], row["created"])


async def list_threads(conn: Connection, agent_id: str, after: int, limit: int) -> list[ListedThread]:
    """The agent's next `limit` threads whose position is greater than `after`."""
    cursor = await conn.execute(sql.list_threads, {"agent_id": agent_id, "after": after, "limit": limit})
    return [ListedThread(**row) for row in await cursor.fetchall()]


async def list_threads_of_caller(
    conn: Connection, agent_id: str, caller: str, after: int, limit: int
) -> list[ListedThread]:
    """The next `limit` of the agent's threads that the caller has opened; none for the anonymous one."""
    parameters = {"agent_id": agent_id, "caller": caller, "after": after, "limit": limit}
    cursor = await conn.execute(sql.list_threads_of_caller, parameters)
    return [ListedThread(**row) for row in await cursor.fetchall()]


async def list_states(conn: Connection, thread_ids: Sequence[str]) -> dict[str, ThreadState]:
    """What each of the threads is doing now; those that are gone meanwhile are not in it."""
    cursor = await conn.execute(sql.list_states, {"thread_ids": list(thread_ids)})
    return {row["thread_id"]: row["state"] for row in await cursor.fetchall()}


async def find_last_position(conn: Connection, agent_id: str) -> int | None:
    row = await (await conn.execute(sql.find_last_position, {"agent_id": agent_id})).fetchone()
    return None if row is None else int(row["position"])


async def get_latest_messages(conn: Connection, agent_id: str, thread_id: str) -> LatestMessages:
    """Raises `ThreadNotFound` and `ThreadNotOurs`."""
    cursor = await conn.execute(sql.find_latest_messages, {"agent_id": agent_id, "thread_id": thread_id})
    row = await cursor.fetchone()
    if row is None:
        raise await why_not_ours(conn, thread_id)
    return LatestMessages(**row)


async def list_steps(conn: Connection, thread_id: str, before: str | None, limit: int) -> list[StoredStep]:
    cursor = await conn.execute(sql.list_steps, {"thread_id": thread_id, "before": before, "limit": limit})
    return [StoredStep(**row) for row in await cursor.fetchall()]


async def list_step_writes(
    conn: Connection, thread_id: str, checkpoint_ids: Sequence[str], longest: int
) -> list[StoredWrite]:
    """In the order in which the graph applies them; blobs of at most `longest` bytes."""
    given = {"thread_id": thread_id, "checkpoint_ids": list(checkpoint_ids), "longest": longest}
    cursor = await conn.execute(sql.list_step_writes, given)
    return [StoredWrite(**row) for row in await cursor.fetchall()]


async def is_owned(conn: Connection, agent_id: str, thread_id: str) -> bool:
    """Whether the thread is the agent's. Needs no lock."""
    row = await (await conn.execute(sql.find_owner, {"thread_id": thread_id})).fetchone()
    return row is not None and row["agent_id"] == agent_id


async def why_not_ours(conn: Connection, thread_id: str) -> ThreadNotFound | ThreadNotOurs:
    """The error for a thread that a statement did not find among the agent's own."""
    row = await (await conn.execute(sql.find_owner, {"thread_id": thread_id})).fetchone()
    return ThreadNotFound(thread_id) if row is None else ThreadNotOurs(thread_id)


async def read_one_snapshot(conn: Connection) -> None:
    """Makes the transaction that has just begun read-only and deaf to what others commit meanwhile."""
    await conn.execute(sql.read_one_snapshot)


async def lock_threads(conn: Connection, agent_id: str, thread_ids: Sequence[str]) -> list[str]:
    """Locks those of the threads that are the agent's, and keeps them its own, until the transaction ends."""
    await conn.execute(sql.hold_owner_keys, {"agent_id": agent_id})
    cursor = await conn.execute(sql.lock_threads, {"agent_id": agent_id, "thread_ids": list(thread_ids)})
    return [row["thread_id"] for row in await cursor.fetchall()]


async def erase_threads(conn: Connection, agent_id: str, thread_ids: Sequence[str]) -> Erasure:
    """Removes every row of threads that `lock_threads` has locked in this transaction."""
    parameters = {"agent_id": agent_id, "thread_ids": list(thread_ids)}
    rows = {}
    for table in ERASED_TABLES:
        if table == "agent_run_frames":
            await conn.execute(sql.lock_a2a_tasks, parameters)
        cursor = await conn.execute(getattr(sql, f"erase_{table}"), parameters)
        rows[table] = cursor.rowcount
    return Erasure(rows)


async def count_rows(conn: Connection, agent_id: str, thread_ids: Sequence[str]) -> Erasure:
    """What `erase_threads` would remove of the threads, all of which are the agent's. Needs no lock."""
    parameters = {"agent_id": agent_id, "thread_ids": list(thread_ids)}
    rows = {}
    for table in ERASED_TABLES:
        row = await (await conn.execute(getattr(sql, f"count_{table}"), parameters)).fetchone()
        assert row is not None
        rows[table] = int(row["rows"])
    return Erasure(rows)


async def is_agent_alive(conn: Connection, agent_id: str, besides: UUID | None) -> bool:
    """Whether a process runs under the agent id, `besides` not counted."""
    cursor = await conn.execute(sql.find_live_process, {"agent_id": agent_id, "process_id": besides})
    return await cursor.fetchone() is not None


async def move_owner_keys(conn: Connection, old_id: str, new_id: str) -> MovedKeys:
    """Gives every thread of `old_id` to `new_id`. Until the transaction ends, turns in new threads wait."""
    cursor = await conn.execute(sql.lock_owner_keys, {"agent_id": old_id})
    owner_keys = [row["owner_key"] for row in await cursor.fetchall()]
    last_position = await find_last_position(conn, old_id) or 0
    await conn.execute(sql.move_owner_keys, {"new_id": new_id, "owner_keys": owner_keys})
    return MovedKeys(owner_keys, last_position)


async def count_threads_of_keys(conn: Connection, moved: MovedKeys) -> int:
    """How many threads went with the keys; those that the new owner has begun since are not counted."""
    row = await (await conn.execute(sql.count_threads_of_keys, moved._asdict())).fetchone()
    assert row is not None
    return int(row["threads"])


async def list_unowned_threads(conn: Connection, prefix: str, after: str, limit: int) -> list[tuple[str, str]]:
    """Threads that have checkpoints and no owner, in the order of their ids, each with its first checkpoint."""
    parameters = {"prefix": prefix, "after": after, "limit": limit}
    cursor = await conn.execute(sql.list_unowned_threads, parameters)
    return [(row["thread_id"], row["first_checkpoint_id"]) for row in await cursor.fetchall()]


async def adopt_unowned_threads(conn: Connection, owner_key: int, thread_ids: Sequence[str]) -> int:
    """Gives the threads to the key, in this order, as far as they have no owner yet; returns how many."""
    parameters = {"owner_key": owner_key, "thread_ids": list(thread_ids)}
    return (await conn.execute(sql.adopt_unowned_threads, parameters)).rowcount


async def list_unnamed_threads(conn: Connection, prefix: str, after: str, limit: int) -> list[str]:
    """Threads of an agent that ran without an id, in the order of their ids."""
    parameters = {"prefix": prefix, "after": after, "limit": limit}
    cursor = await conn.execute(sql.list_unnamed_threads, parameters)
    return [row["thread_id"] for row in await cursor.fetchall()]


async def rekey_threads(conn: Connection, owner_key: int, thread_ids: Sequence[str]) -> None:
    """Gives threads that the transaction has locked, and what hangs off them, to another key."""
    parameters = {"owner_key": owner_key, "thread_ids": list(thread_ids)}
    await conn.execute(sql.rekey_agent_threads, parameters)
    await conn.execute(sql.rekey_a2a_tasks, parameters)
    await conn.execute(sql.rekey_agent_turn_records, parameters)
    await conn.execute(sql.rekey_persistent_memory, parameters)


async def list_orphans(conn: Connection, after: str, limit: int) -> list[str]:
    """Threads of which only blobs or writes are left, in the order of their ids."""
    cursor = await conn.execute(sql.list_orphans, {"after": after, "limit": limit})
    return [row["thread_id"] for row in await cursor.fetchall()]


async def count_orphans(conn: Connection, thread_ids: Sequence[str]) -> dict[str, int]:
    row = await (await conn.execute(sql.count_orphans, {"thread_ids": list(thread_ids)})).fetchone()
    assert row is not None
    return dict(row)


async def sweep_orphans(conn: Connection, thread_ids: Sequence[str]) -> dict[str, int]:
    """Deletes the rows of those threads that are still orphans, and counts them."""
    parameters = {"thread_ids": list(thread_ids)}
    blobs = await conn.execute(sql.sweep_checkpoint_blobs, parameters)
    writes = await conn.execute(sql.sweep_checkpoint_writes, parameters)
    return {"checkpoint_blobs": blobs.rowcount, "checkpoint_writes": writes.rowcount}


async def sample_threads(conn: Connection, agent_id: str, limit: int) -> list[str]:
    """Return so many of the agent's threads, drawn at random."""
    cursor = await conn.execute(sql.sample_threads, {"agent_id": agent_id, "limit": limit})
    return [row["thread_id"] for row in await cursor.fetchall()]


async def keep_graph(conn: Connection, thread_id: str, graph_id: str) -> str | None:
    """Return the name of the graph that answers in the thread, which is `graph_id` if none has yet; `None` when
    the thread is gone."""
    parameters = {"thread_id": thread_id, "names": Jsonb(graph_names(graph_id))}
    row = await (await conn.execute(sql.keep_graph, parameters)).fetchone()
    return None if row is None else row["graph_id"]


async def find_graph(conn: Connection, thread_id: str) -> str | None:
    """Return the name of the graph that has answered in the thread last, where it says so."""
    row = await (await conn.execute(sql.find_graph, {"thread_id": thread_id})).fetchone()
    return None if row is None else row["graph_id"]


async def find_last_step(conn: Connection, thread_id: str) -> int | None:
    """Return the step of the thread's latest checkpoint; `None` where it has none, or does not say."""
    row = await (await conn.execute(sql.find_last_step, {"thread_id": thread_id})).fetchone()
    return None if row is None else row["step"]
