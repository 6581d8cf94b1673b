"""The rows behind turns and process leases. Every function takes a connection; the service opens transactions."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from uuid import UUID

import psycopg

from agent_runtime.errors import TurnSuperseded
from agent_runtime.turns.types import Turn, TurnRequest, TurnRows
from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries

logger = logging.getLogger(__name__)

sql = Queries("agent_runtime.turns")

_TURN_NOT_HELD = "AS001"
"""SQLSTATE of `hold_agent_turn`, see migration 0002."""


@dataclass(frozen=True)
class EnqueuedTurn:
    turn_id: int
    attempt: int
    queued: bool


@dataclass(frozen=True)
class OrphanedTurn:
    """A turn that this process has just taken over, with everything needed to run it. `request` is `None` when
    this release cannot read what the turn's process had stored."""

    turn: Turn
    request: TurnRequest | None
    queued: bool


async def enqueue_turn(conn: Connection, process_id: UUID, request: TurnRequest) -> EnqueuedTurn:
    """Gives the request its place in the queue of its thread, whose row the caller has locked."""
    cursor = await conn.execute(
        sql.enqueue_turn,
        {
            "thread_id": request.thread_id,
            "task_id": request.task_id,
            "process_id": process_id,
            "request": request.to_bytes(),
        },
    )
    row = await cursor.fetchone()
    assert row is not None
    return EnqueuedTurn(row["turn_id"], row["attempt"], row["status"] == "queued")


async def list_ready_turns(conn: Connection, process_id: UUID) -> list[int]:
    cursor = await conn.execute(sql.list_ready_turns, {"process_id": process_id})
    return [row["turn_id"] for row in await cursor.fetchall()]


async def start_turn(conn: Connection, turn: Turn) -> None:
    """Raises `TurnSuperseded` when the turn was cancelled, deleted or taken over meanwhile."""
    cursor = await conn.execute(sql.start_turn, {"turn_id": turn.turn_id, "attempt": turn.attempt})
    if cursor.rowcount == 0:
        raise TurnSuperseded(f"turn {turn.turn_id} is no longer queued here")


@asynccontextmanager
async def turn_fence() -> AsyncIterator[None]:
    """Turns the database's refusal of a write for a lost turn into `TurnSuperseded`."""
    try:
        yield
    except psycopg.DatabaseError as error:
        if error.sqlstate == _TURN_NOT_HELD:
            raise TurnSuperseded(str(error)) from None
        raise


async def hold_turn(conn: Connection, turn: Turn) -> None:
    """Keeps the turn ours until the transaction ends. Raises `TurnSuperseded` when it is not ours any more."""
    async with turn_fence():
        await conn.execute(sql.hold_turn, {"turn_id": turn.turn_id, "attempt": turn.attempt})


async def store_checkpoints(conn: Connection, turn: Turn, rows: TurnRows, usage: str | None = None) -> None:
    """Adds the rows, while the turn is ours, and notes whether the graph has taken the turn's answer, and what the
    attempt has used so far, as JSON.

    It is a transaction by itself. Raises `TurnSuperseded` when the turn is not ours any more.
    """
    text, values = rows.packed()
    parameters = {
        "turn_id": turn.turn_id,
        "attempt": turn.attempt,
        "takes_answer": rows.takes_answer,
        "rows": text,
        "bytes": values,
        "usage": usage,
    }
    async with turn_fence():
        await conn.execute(sql.store_checkpoints, parameters)


async def delete_namespace(conn: Connection, turn: Turn, namespace: str) -> None:
    """In a transaction: deletes what a namespace, and others that end with it, hold in the turn's thread.

    Raises `TurnSuperseded` when the turn is not ours any more.
    """
    await hold_turn(conn, turn)
    await conn.execute(sql.delete_namespace, {"thread_id": turn.thread_id, "namespace": f"|{namespace}"})


async def delete_turn_of_task(conn: Connection, task_id: str, agent_id: str) -> Turn | None:
    """Takes the task's turn out of the queue, waiting for a write that is under way for it, and keeps the record
    of a cancelled one."""
    cursor = await conn.execute(sql.delete_turn_of_task, {"task_id": task_id, "agent_id": agent_id})
    row = await cursor.fetchone()
    if row is None:
        return None
    del row["recorded"]
    return Turn(**row)


async def add_usage(conn: Connection, turn: Turn, usage: str) -> None:
    """Notes what the attempt has used, when it is no longer the one that ends the turn."""
    parameters = {"turn_id": turn.turn_id, "usage": usage}
    if (await conn.execute(sql.add_usage, parameters)).rowcount == 0:
        await conn.execute(sql.add_usage_to_record, parameters)


async def list_held_turns(conn: Connection, process_id: UUID) -> dict[int, bool]:
    """The turns that the database says are this process's, and whether they were accepted just now."""
    cursor = await conn.execute(sql.list_held_turns, {"process_id": process_id})
    return {row["turn_id"]: row["is_new"] for row in await cursor.fetchall()}


async def take_over_turns(
    conn: Connection, process_id: UUID, agent_id: str, lost: Sequence[int]
) -> list[OrphanedTurn]:
    """Makes this process the holder of turns whose process is gone, and of its own `lost` ones."""
    cursor = await conn.execute(
        sql.take_over_turns, {"process_id": process_id, "agent_id": agent_id, "lost": list(lost)}
    )
    orphans = []
    for row in sorted(await cursor.fetchall(), key=lambda row: row["turn_id"]):
        queued = row.pop("status") == "queued"
        request = _read_request(row.pop("request"), row["thread_id"], row["task_id"])
        is_call = request is not None and request.call is not None
        orphans.append(OrphanedTurn(Turn(**row, is_call=is_call), request, queued))
    return orphans


async def count_runs(conn: Connection, turns: Sequence[Turn]) -> int:
    """Notes that the turns, running ones that were taken over, are run once more from here. Returns how many of
    them are still ours."""
    if not turns:
        return 0
    parameters = {
        "turn_ids": [turn.turn_id for turn in turns],
        "attempts": [turn.attempt for turn in turns],
    }
    return (await conn.execute(sql.count_runs, parameters)).rowcount


def _read_request(data: bytes, thread_id: str, task_id: str) -> TurnRequest | None:
    try:
        return TurnRequest.from_bytes(data, thread_id, task_id)
    except (LookupError, TypeError, ValueError):
        logger.exception("reading a queued request failed task_id=%s", task_id)
        return None


async def renew_lease(conn: Connection, process_id: UUID, agent_id: str, seconds: float) -> None:
    await conn.execute(sql.renew_lease, {"process_id": process_id, "agent_id": agent_id, "seconds": seconds})


async def end_lease(conn: Connection, process_id: UUID) -> None:
    await conn.execute(sql.end_lease, {"process_id": process_id})


async def forget_old_processes(conn: Connection) -> None:
    await conn.execute(sql.forget_old_processes)
