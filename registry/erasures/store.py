"""The rows behind erasures. Every function takes a connection; the service opens transactions."""

from collections import Counter
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries
from registry.erasures.models import AskedAgent, Erasure, Work
from registry.errors import NotFound

sql = Queries("registry.erasures")

ERASED_TABLES = (
    "artifacts",
    "checkpoint_writes",
    "checkpoint_blobs",
    "checkpoints",
    "work_items",
    "kept_events",
    "request_keys",
    "execution_signals",
    "execution_waits",
    "execution_events",
    "executions",
)
"""What the registry holds of an execution, in the order in which it is emptied: artifacts first, which are found
by what executions and their events say. For each there is a statement that counts and one that erases."""


async def create_erasure(
    conn: Connection,
    erasure_id: UUID,
    tenant_id: str,
    caller: str | None,
    thread_ids: Sequence[str],
    subject_hash: bytes,
) -> None:
    """Makes the erasure, and the row of each agent that the tenant has now."""
    given = {
        "erasure_id": erasure_id,
        "tenant_id": tenant_id,
        "caller": caller,
        "thread_ids": list(thread_ids),
        "subject_hash": subject_hash,
    }
    await conn.execute(sql.create_erasure, given)
    await conn.execute(sql.ask_agents, {"erasure_id": erasure_id, "tenant_id": tenant_id})


async def list_agent_ids(conn: Connection, tenant_id: str) -> list[str]:
    rows = await (await conn.execute(sql.list_agent_ids, {"tenant_id": tenant_id})).fetchall()
    return [row["agent_id"] for row in rows]


async def list_erasures(conn: Connection, tenant_id: str, before: int | None, limit: int) -> list[Erasure]:
    """The newest first; `before` is the position of the last one of the page before."""
    given = {"tenant_id": tenant_id, "before": before, "limit": limit}
    rows = await (await conn.execute(sql.list_erasures, given)).fetchall()
    return await _with_agents(conn, rows)


async def get_erasure(conn: Connection, tenant_id: str, erasure_id: UUID) -> Erasure:
    """Raises `NotFound`."""
    given = {"tenant_id": tenant_id, "erasure_id": erasure_id}
    rows = await (await conn.execute(sql.find_erasure, given)).fetchall()
    if not rows:
        raise NotFound(f"erasure {erasure_id}")
    return (await _with_agents(conn, rows))[0]


async def _with_agents(conn: Connection, rows: Sequence[dict[str, Any]]) -> list[Erasure]:
    agents: dict[UUID, list[AskedAgent]] = {row["erasure_id"]: [] for row in rows}
    asked = await (await conn.execute(sql.list_asked_agents, {"erasure_ids": list(agents)})).fetchall()
    for row in asked:
        agents[row.pop("erasure_id")].append(AskedAgent(**row))
    return [Erasure(**row, agents=agents[row["erasure_id"]]) for row in rows]


async def take_work(conn: Connection, but: Sequence[Any]) -> Work | None:
    """An erasure with something to do in the registry, without `but`, held until the transaction ends."""
    cursor = conn.cursor(row_factory=class_row(Work))
    return await (await cursor.execute(sql.take_work, {"but": list(but)})).fetchone()


async def list_executions(
    conn: Connection, tenant_id: str, caller: str | None, named: Sequence[UUID], found: Sequence[UUID], limit: int
) -> list[UUID]:
    """Further executions of the person, `found` being those that are known."""
    given = {"tenant_id": tenant_id, "caller": caller, "named": named, "found": found, "limit": limit}
    return [row["execution_id"] for row in await (await conn.execute(sql.list_executions, given)).fetchall()]


async def count_rows(conn: Connection, tenant_id: str, execution_ids: Sequence[UUID]) -> Counter[str]:
    """What `erase_executions` would remove."""
    rows: Counter[str] = Counter()
    for table in ERASED_TABLES:
        row = await (await conn.execute(getattr(sql, f"count_{table}"), _of(tenant_id, execution_ids))).fetchone()
        assert row is not None
        rows[table] = row["rows"]
    return rows


async def erase_executions(
    conn: Connection, tenant_id: str, execution_ids: Sequence[UUID], tables: Sequence[str] = ERASED_TABLES
) -> Counter[str]:
    """Removes every row of the executions in the `tables`, and returns the counts. A worker that has one in hand
    can write no more."""
    given = _of(tenant_id, execution_ids)
    await conn.execute(sql.lock_executions, given)
    rows: Counter[str] = Counter()
    for table in tables:
        rows[table] = (await conn.execute(getattr(sql, f"erase_{table}"), given)).rowcount
    return rows


async def note_work(
    conn: Connection, erasure_id: UUID, execution_ids: Sequence[UUID], rows: Counter[str], *, done: bool
) -> None:
    given = {"erasure_id": erasure_id, "ids": list(execution_ids), "rows": Jsonb(dict(rows)), "done": done}
    await conn.execute(sql.note_work, given)


async def claim_orders(conn: Connection, tenant_id: str, agent_id: str, per_part: int) -> list[dict[str, Any]]:
    given = {"tenant_id": tenant_id, "agent_id": agent_id, "per_part": per_part}
    return await (await conn.execute(sql.claim_orders, given)).fetchall()


async def list_places(conn: Connection, tenant_id: str, agent_id: str) -> list[str]:
    """The URLs by which executions may have asked the agent."""
    given = {"tenant_id": tenant_id, "agent_id": agent_id}
    return [row["place"] for row in await (await conn.execute(sql.list_places, given)).fetchall()]


async def lock_asked_agent(conn: Connection, tenant_id: str, erasure_id: UUID, agent_id: str) -> dict[str, Any]:
    """How far the agent is. Raises `NotFound`."""
    given = {"tenant_id": tenant_id, "erasure_id": erasure_id, "agent_id": agent_id}
    row = await (await conn.execute(sql.lock_asked_agent, given)).fetchone()
    if row is None:
        raise NotFound(f"erasure {erasure_id} for agent {agent_id}")
    return row


async def note_failure(conn: Connection, erasure_id: UUID, agent_id: str, error: str) -> None:
    given = {"erasure_id": erasure_id, "agent_id": agent_id, "error": error}
    await conn.execute(sql.note_failure, given)


async def note_receipt(
    conn: Connection, erasure_id: UUID, agent_id: str, rows: dict[str, int], peers: Sequence[str], *, last: bool
) -> None:
    """Adds to what the agent has answered so far; with `last` there is no more to come."""
    await conn.execute(
        sql.note_receipt,
        {
            "erasure_id": erasure_id,
            "agent_id": agent_id,
            "rows": Jsonb(rows),
            "peers": Jsonb(list(peers)),
            "last": last,
        },
    )


async def complete_erasure(conn: Connection, erasure_id: UUID) -> str | None:
    """Ends the erasure when everybody has answered, and forgets whom it was about. Returns its tenant then.

    Of two answers that come at the same time, the later one sees the other.
    """
    await conn.execute(sql.lock_erasure, {"erasure_id": erasure_id})
    await conn.execute(sql.erase_questions, {"erasure_id": erasure_id})
    row = await (await conn.execute(sql.complete_erasure, {"erasure_id": erasure_id})).fetchone()
    return None if row is None else row["tenant_id"]


def _of(tenant_id: str, execution_ids: Sequence[UUID]) -> dict[str, Any]:
    return {
        "tenant_id": tenant_id,
        "ids": list(execution_ids),
        "threads": [str(execution_id) for execution_id in execution_ids],
    }
