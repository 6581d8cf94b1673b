"""The rows of LangGraph's tables that are no longer wanted. Callers hold the threads, unless it says otherwise."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries

sql = Queries("agent_runtime.retention")

PRUNED_TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes")


class PastCheckpoint(NamedTuple):
    """A checkpoint that comes before those that are kept."""

    thread_id: str
    checkpoint_ns: str
    checkpoint_id: str


class PastCall(NamedTuple):
    """The namespace of a subgraph's run that began before the checkpoints that are kept."""

    thread_id: str
    checkpoint_ns: str


async def lock_threads(conn: Connection, agent_id: str, thread_ids: Sequence[str]) -> list[str]:
    """Locks those of the agent's threads that nobody else holds, until the transaction ends."""
    cursor = await conn.execute(sql.lock_threads, {"agent_id": agent_id, "thread_ids": list(thread_ids)})
    return [row["thread_id"] for row in await cursor.fetchall()]


async def list_owned(conn: Connection, agent_id: str, thread_ids: Sequence[str]) -> set[str]:
    """Those of the threads that are the agent's. Needs no lock."""
    cursor = await conn.execute(sql.list_owned, {"agent_id": agent_id, "thread_ids": list(thread_ids)})
    return {row["thread_id"] for row in await cursor.fetchall()}


async def list_overlong(conn: Connection, thread_ids: Sequence[str], keep: int) -> list[str]:
    """Those of the threads that have more than `keep` checkpoints in a namespace. Needs no lock."""
    cursor = await conn.execute(sql.list_overlong, {"thread_ids": list(thread_ids), "keep": keep})
    return [row["thread_id"] for row in await cursor.fetchall()]


async def list_unprunable(conn: Connection, thread_ids: Sequence[str]) -> dict[str, str]:
    """The threads whose latest state rests on older checkpoints; with each, what it uses."""
    cursor = await conn.execute(sql.list_unprunable, {"thread_ids": list(thread_ids)})
    return {row["thread_id"]: row["reason"] for row in await cursor.fetchall()}


async def list_past_calls(conn: Connection, thread_ids: Sequence[str], keep: int, limit: int) -> list[PastCall]:
    parameters = {"thread_ids": list(thread_ids), "keep": keep, "limit": limit}
    return [PastCall(**row) for row in await (await conn.execute(sql.list_past_calls, parameters)).fetchall()]


async def prune_calls(conn: Connection, calls: Sequence[PastCall]) -> Mapping[str, int]:
    """Removes everything that is stored of the calls; returns the counts by table."""
    parameters = {
        "thread_ids": [call.thread_id for call in calls],
        "namespaces": [call.checkpoint_ns for call in calls],
    }
    writes = await conn.execute(sql.prune_call_writes, parameters)
    blobs = await conn.execute(sql.prune_call_blobs, parameters)
    checkpoints = await conn.execute(sql.prune_call_checkpoints, parameters)
    return Counter(
        checkpoints=checkpoints.rowcount, checkpoint_blobs=blobs.rowcount, checkpoint_writes=writes.rowcount
    )


async def list_busy(conn: Connection, thread_ids: Sequence[str]) -> set[str]:
    """Those of the threads that a turn runs or waits in."""
    rows = await (await conn.execute(sql.list_busy, {"thread_ids": list(thread_ids)})).fetchall()
    return {row["thread_id"] for row in rows}


async def find_oldest_kept(
    conn: Connection, thread_id: str, keep: int, slack: int
) -> tuple[str, dict[str, str]] | None:
    """The last checkpoint of the root graph that is to stay, with the versions of its channels; `None` for a
    thread that has no more than `slack` beyond those."""
    parameters = {"thread_id": thread_id, "keep": keep, "slack": slack}
    row = await (await conn.execute(sql.find_oldest_kept, parameters)).fetchone()
    return None if row is None else (row["checkpoint_id"], row["versions"])


async def list_stored_values(conn: Connection, thread_id: str, checkpoint_id: str) -> set[str]:
    """Channels whose value the checkpoint has, so that no older one is needed for it."""
    parameters = {"thread_id": thread_id, "checkpoint_id": checkpoint_id}
    rows = await (await conn.execute(sql.list_stored_values, parameters)).fetchall()
    return {row["channel"] for row in rows}


async def put_snapshot(
    conn: Connection, thread_id: str, checkpoint_id: str, channel: str, version: str, typed: tuple[str, bytes]
) -> None:
    """Stores the value of a channel with the checkpoint."""
    parameters = {
        "thread_id": thread_id,
        "checkpoint_id": checkpoint_id,
        "channel": channel,
        "version": version,
        "type": typed[0],
        "blob": typed[1],
    }
    await conn.execute(sql.put_snapshot, parameters)
    await conn.execute(sql.mark_snapshot, parameters)


async def list_past_checkpoints(
    conn: Connection, thread_ids: Sequence[str], keep: int, limit: int, snapshots: Mapping[str, str]
) -> list[PastCheckpoint]:
    """Of each namespace what comes before the `keep` latest, at most `limit` of them; of threads in `snapshots`
    what comes before that checkpoint of the root graph."""
    parameters = {
        "thread_ids": list(thread_ids),
        "keep": keep,
        "limit": limit,
        "snapshot_threads": list(snapshots),
        "snapshot_ids": list(snapshots.values()),
    }
    cursor = await conn.execute(sql.list_past_checkpoints, parameters)
    return [PastCheckpoint(**row) for row in await cursor.fetchall()]


async def prune_checkpoints(conn: Connection, past: Sequence[PastCheckpoint]) -> Mapping[str, int]:
    """Removes the checkpoints and what nothing else uses; returns the counts by table."""
    parameters = {
        "thread_ids": [checkpoint.thread_id for checkpoint in past],
        "namespaces": [checkpoint.checkpoint_ns for checkpoint in past],
        "checkpoint_ids": [checkpoint.checkpoint_id for checkpoint in past],
    }
    writes = await conn.execute(sql.prune_writes, parameters)
    pruned = await (await conn.execute(sql.prune_checkpoints, parameters)).fetchone()
    assert pruned is not None
    await conn.execute(sql.forget_parents, parameters)
    return Counter(checkpoint_writes=writes.rowcount, **pruned)


async def open_sweep(conn: Connection, agent_id: str, kind: str) -> None:
    """Makes the row that `take_sweep` holds, unless it is there."""
    await conn.execute(sql.open_sweep, {"agent_id": agent_id, "kind": kind})


async def take_sweep(conn: Connection, agent_id: str, kind: str) -> int | None:
    """Where to go on, held until the transaction ends; `None` while another process has it or none is due."""
    row = await (await conn.execute(sql.take_sweep, {"agent_id": agent_id, "kind": kind})).fetchone()
    return None if row is None else int(row["position"])


async def move_sweep(conn: Connection, agent_id: str, kind: str, position: int, pause_seconds: float = 0) -> None:
    """Goes on from there, not before the pause is over."""
    parameters = {"agent_id": agent_id, "kind": kind, "position": position, "pause_seconds": pause_seconds}
    await conn.execute(sql.move_sweep, parameters)


async def list_idle(conn: Connection, thread_ids: Sequence[str], idle_seconds: float) -> list[str]:
    """Those of the threads that nobody has used for so long, and that wait for nothing. Needs no lock."""
    parameters = {"thread_ids": list(thread_ids), "idle_seconds": idle_seconds}
    return [row["thread_id"] for row in await (await conn.execute(sql.list_idle, parameters)).fetchall()]


async def lock_idle(conn: Connection, agent_id: str, thread_ids: Sequence[str], idle_seconds: float) -> list[str]:
    """Locks those of the agent's threads that nobody else holds and that are idle then, until the transaction
    ends: a turn that came before the lock was there is seen by the second look."""
    parameters = {"agent_id": agent_id, "thread_ids": list(thread_ids)}
    locked = await (await conn.execute(sql.lock_idle, parameters)).fetchall()
    return await list_idle(conn, [row["thread_id"] for row in locked], idle_seconds)


async def put_messages(conn: Connection, thread_id: str, version: str, typed: tuple[str, bytes]) -> None:
    """Store the conversation in another form, under the version that it has."""
    parameters = {"thread_id": thread_id, "version": version, "type": typed[0], "blob": typed[1]}
    await conn.execute(sql.put_messages, parameters)


async def mark_snapshot(conn: Connection, thread_id: str, checkpoint_id: str) -> None:
    """Say that a blob has the checkpoint's messages as a snapshot of a delta channel."""
    parameters = {"thread_id": thread_id, "checkpoint_id": checkpoint_id, "channel": "messages"}
    await conn.execute(sql.mark_snapshot, parameters)


async def forget_delta(conn: Connection, thread_id: str, checkpoint_id: str) -> None:
    """Say that a blob has the checkpoint's messages as they are."""
    await conn.execute(sql.forget_delta, {"thread_id": thread_id, "checkpoint_id": checkpoint_id})
