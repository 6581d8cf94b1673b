"""The rows behind runs, beside those of their turns and tasks. Every function takes a connection."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from agent_runtime.errors import RunNotFound
from agent_runtime.graph.outputs import StreamFrame
from agent_runtime.langgraph_server.runs import RunFrame, RunRequest, end_frame
from agent_runtime.turns.feed import News
from agent_runtime.turns.store import turn_fence
from agent_runtime.turns.types import Turn
from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries

sql = Queries("agent_runtime.langgraph_server")


@dataclass(frozen=True)
class RunRow:
    """A run as it is stored. What came in over A2A has no graph, and was asked for nothing in particular."""

    run_id: str
    thread_id: str
    graph_id: str | None
    metadata: Mapping[str, Any] | None
    asked: bytes | None
    strategy: str | None
    created_at: datetime
    updated_at: datetime
    status: str


@dataclass(frozen=True)
class ThreadRun:
    """A run at its place among those of its thread."""

    run_id: str
    number: int
    graph_id: str


@dataclass(frozen=True)
class EndedRun:
    """The last frames of a run, and where its end is to be told."""

    frames: Sequence[RunFrame] = ()
    webhook: str | None = None


async def insert_run(conn: Connection, request: RunRequest) -> None:
    parameters = {
        "run_id": request.task_id,
        "thread_id": request.thread_id,
        "graph_id": request.graph_id,
        "metadata": Jsonb(request.run_metadata),
        "asked": json.dumps(request.asked).encode(),
        "strategy": request.strategy,
        "webhook": request.webhook,
    }
    await conn.execute(sql.insert_run, parameters)


async def delay_turn(conn: Connection, turn: Turn, seconds: float) -> None:
    await conn.execute(sql.delay_turn, {"turn_id": turn.turn_id, "seconds": seconds})


async def list_turn_tasks(conn: Connection, thread_id: str) -> list[str]:
    """The tasks of the thread that a turn is, or will be, working on."""
    cursor = await conn.execute(sql.list_turn_tasks, {"thread_id": thread_id})
    return [row["task_id"] for row in await cursor.fetchall()]


async def append_frames(conn: Connection, turn: Turn, frames: Sequence[StreamFrame]) -> list[RunFrame]:
    """Adds what the turn has streamed, while it is ours, in a transaction of its own. Raises `TurnSuperseded`."""
    parameters = {
        "turn_id": turn.turn_id,
        "attempt": turn.attempt,
        "run_id": turn.task_id,
        "count": len(frames),
        "frames": _packed(frames),
    }
    async with turn_fence():
        row = await (await conn.execute(sql.append_frames, parameters)).fetchone()
    assert row is not None
    return _numbered(frames, row["first_seq"])


async def end_run(
    conn: Connection,
    run_id: str,
    status: str,
    frames: Sequence[StreamFrame],
    error: Mapping[str, str] | None = None,
) -> EndedRun:
    """In the transaction that ends the turn of the run: how that was, and the last frames. There are none when the
    turn was no run."""
    parameters = {
        "run_id": run_id,
        "status": status,
        "error": None if error is None else Jsonb(error),
        "count": len(frames),
        "frames": _packed(frames),
    }
    row = await (await conn.execute(sql.end_run, parameters)).fetchone()
    return EndedRun() if row is None else EndedRun(_numbered(frames, row["first_seq"]), row["webhook"])


async def is_run(conn: Connection, run_id: str) -> bool:
    row = await (await conn.execute(sql.is_run, {"run_id": run_id})).fetchone()
    return bool(row and row["is_run"])


async def read_frames(conn: Connection, seen: Mapping[str, int]) -> dict[str, News[RunFrame]]:
    """What runs have streamed after the places in `seen`, with an end for those that nobody works on any more."""
    parameters = {"run_ids": list(seen), "seen": list(seen.values())}
    found: dict[str, tuple[bool, list[RunFrame]]] = {}
    for row in await (await conn.execute(sql.read_frames, parameters)).fetchall():
        _, frames = found.setdefault(row["task_id"], (row["is_live"], []))
        if row["frames"] is not None:
            numbered = _numbered([StreamFrame(*pair) for pair in json.loads(row["frames"])], row["first_seq"])
            frames += [frame for frame in numbered if frame.version > seen[row["task_id"]]]
    for run_id, (is_live, frames) in found.items():
        last = frames[-1].version if frames else seen[run_id]
        if not is_live and not (frames and frames[-1].ends):
            frames.append(RunFrame(last + 1, end_frame("cancelled")))
    return {
        run_id: News(frames[-1].version if frames else seen[run_id], tuple(frames))
        for run_id, (_, frames) in found.items()
    }


async def find_last_seq(conn: Connection, run_id: str) -> int:
    row = await (await conn.execute(sql.find_last_seq, {"run_id": run_id})).fetchone()
    assert row is not None
    return int(row["last_seq"])


async def prune_frames(conn: Connection) -> None:
    """Removes what was streamed by runs that have been over for a while."""
    await conn.execute(sql.prune_frames)


async def list_runs_after(
    conn: Connection, agent_id: str, places: Sequence[tuple[str, str, int]]
) -> list[tuple[int, ThreadRun]]:
    """The next runs after each place, which is a thread, its caller and the number of a run; each with the index
    of its place."""
    thread_ids, callers, numbers = (list(column) for column in zip(*places, strict=True))
    parameters = {"agent_id": agent_id, "thread_ids": thread_ids, "callers": callers, "numbers": numbers}
    rows = await (await conn.execute(sql.list_runs_after, parameters)).fetchall()
    return [(row.pop("place"), ThreadRun(**row)) for row in rows]


async def find_thread_place(conn: Connection, thread_id: str) -> tuple[int, int]:
    """The run after which streams of the thread go on now, and which frames of the next one were shown."""
    row = await (await conn.execute(sql.find_thread_place, {"thread_id": thread_id})).fetchone()
    if row is None:
        return 0, 0
    return (row["number"], 0) if row["seen"] is None else (row["number"] - 1, row["seen"])


async def may_follow(conn: Connection, agent_id: str, caller: str, thread_id: str) -> bool:
    """Whether the thread is the caller's, or nobody's yet."""
    parameters = {"agent_id": agent_id, "caller": caller, "thread_id": thread_id}
    row = await (await conn.execute(sql.may_follow, parameters)).fetchone()
    return bool(row and row["may_follow"])


async def list_runs(
    conn: Connection, thread_id: str, owner_key: int, *, status: str | None = None, limit: int, offset: int = 0
) -> list[RunRow]:
    """The runs of a thread, newest first."""
    return await _runs(conn, thread_id, owner_key, None, status, limit, offset)


async def get_run(conn: Connection, thread_id: str, owner_key: int, run_id: str) -> RunRow:
    """Raises `RunNotFound`."""
    found = await _runs(conn, thread_id, owner_key, run_id, None, 1, 0)
    if not found:
        raise RunNotFound(run_id)
    return found[0]


async def find_error(conn: Connection, run_id: str) -> Mapping[str, Any] | None:
    """What ended the run, if an error did."""
    row = await (await conn.execute(sql.find_error, {"run_id": run_id})).fetchone()
    return None if row is None else row["error"]


async def list_active_runs(
    conn: Connection, agent_id: str, caller: str, thread_id: str | None, statuses: Sequence[str]
) -> list[tuple[str, str]]:
    """The caller's runs that are in flight, as thread and run."""
    parameters = {"agent_id": agent_id, "caller": caller, "thread_id": thread_id, "statuses": list(statuses)}
    rows = await (await conn.execute(sql.list_active_runs, parameters)).fetchall()
    return [(row["thread_id"], row["task_id"]) for row in rows]


async def find_last_error(conn: Connection, thread_id: str) -> Mapping[str, Any] | None:
    """What ended the newest run of the thread, if an error did."""
    row = await (await conn.execute(sql.find_last_error, {"thread_id": thread_id})).fetchone()
    return None if row is None else row["error"]


async def delete_run(conn: Connection, run_id: str) -> None:
    await conn.execute(sql.delete_run, {"run_id": run_id})


async def undo_checkpoints(conn: Connection, turn: Turn) -> None:
    """Removes what the turn, whose row is gone, has written to its thread."""
    await conn.execute(sql.undo_checkpoints, {"thread_id": turn.thread_id, "turn_id": turn.turn_id})


async def _runs(
    conn: Connection,
    thread_id: str,
    owner_key: int,
    run_id: str | None,
    status: str | None,
    limit: int,
    offset: int,
) -> list[RunRow]:
    parameters = {
        "thread_id": thread_id,
        "owner_key": owner_key,
        "run_id": run_id,
        "status": status,
        "limit": limit,
        "offset": offset,
    }
    rows = await (await conn.execute(sql.list_runs, parameters, prepare=False)).fetchall()
    return [RunRow(**row) for row in rows]


def _packed(frames: Sequence[StreamFrame]) -> bytes:
    return json.dumps([[frame.event, frame.data] for frame in frames]).encode()


def _numbered(frames: Sequence[StreamFrame], first: int) -> list[RunFrame]:
    return [RunFrame(place, frame) for place, frame in enumerate(frames, first)]
