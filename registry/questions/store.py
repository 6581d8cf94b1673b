"""The rows of questions. Every function takes a connection; services open transactions."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any
from uuid import UUID

from psycopg import AsyncCursor
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries
from registry.questions.models import MOST_DESCRIBED, Question, QuestionsBody, Selection

sql = Queries("registry.questions")


async def find_question(conn: Connection, question_id: UUID, tenant_id: str | None = None) -> Question | None:
    """Return the question; with `tenant_id`, only when it is that tenant's."""
    given = {"question_id": question_id, "tenant_id": tenant_id}
    return await (await _questions(conn).execute(sql.find_question, given)).fetchone()


async def lock_question(conn: Connection, question_id: UUID) -> Question | None:
    return await (await _questions(conn).execute(sql.lock_question, {"question_id": question_id})).fetchone()


async def find_rules(conn: Connection, tenant_id: str, actor_id: str) -> tuple[Mapping[str, Any], str | None]:
    """Return the tenant's policy, and the name of the token that acts, if it is one."""
    given = {"tenant_id": tenant_id, "actor_id": actor_id}
    row = await (await conn.execute(sql.find_rules, given)).fetchone()
    return (row["policy"], row["token_name"]) if row else ({}, None)


async def find_decided(conn: Connection, execution_id: UUID, node_id: str | None) -> Question | None:
    """Return the question that was decided last, of the node or of any."""
    given = {"execution_id": execution_id, "node_id": node_id}
    return await (await _questions(conn).execute(sql.find_decided, given)).fetchone()


async def list_waiting(
    conn: Connection, tenant_id: str, selection: Selection, after: int | None, limit: int
) -> list[Question]:
    """Return the next questions that wait, in the order in which they came."""
    given = _selected(tenant_id, selection, after, limit)
    # Not prepared: for any values at all, PostgreSQL would not choose the index that is made for these.
    return await (await _questions(conn).execute(sql.list_waiting, given, prepare=False)).fetchall()


async def list_closed(
    conn: Connection, tenant_id: str, selection: Selection, after: int | None, limit: int
) -> list[Question]:
    """Return the next questions that wait no more, the newest first."""
    given = _selected(tenant_id, selection, after, limit)
    return await (await _questions(conn).execute(sql.list_closed, given, prepare=False)).fetchall()


async def note_decision(
    conn: Connection,
    question_id: UUID,
    decision: Mapping[str, Any],
    *,
    by: str,
    role: str,
    deliver_seconds: float | None = None,
) -> None:
    """Note what was decided about a question that waits; about any other nothing is written. With
    `deliver_seconds` an agent has to hear of it, and the caller has so long to tell it."""
    given = {
        "question_id": question_id,
        "decision": Jsonb(decision),
        "decided_by": by,
        "decided_as": role,
        "deliver_seconds": deliver_seconds,
    }
    await conn.execute(sql.note_decision, given)


async def note_delivered(conn: Connection, question_id: UUID, decided_by: str | None = None) -> None:
    """Note that the agent knows; `decided_by` is whose answer it had taken before, if it was somebody else's."""
    await conn.execute(sql.note_delivered, {"question_id": question_id, "decided_by": decided_by})


async def note_refused(conn: Connection, question_id: UUID) -> None:
    await conn.execute(sql.note_refused, {"question_id": question_id})


async def withdraw_question(conn: Connection, question_id: UUID) -> None:
    await conn.execute(sql.withdraw_question, {"question_id": question_id})


async def claim_undelivered(conn: Connection, seconds: float, but: Collection[Any]) -> Question | None:
    """Return a decision that an agent may not have heard of, for the caller to tell within so many seconds."""
    given = {"seconds": seconds, "but": list(but)}
    return await (await _questions(conn).execute(sql.claim_undelivered, given)).fetchone()


async def take_report(conn: Connection, tenant_id: str, agent_id: str, report: QuestionsBody) -> Sequence[str]:
    """Take over which questions an agent of that tenant has; return the tasks of those that it has to describe.

    A report that is older than the last one changes nothing.
    """
    agent = {"tenant_id": tenant_id, "agent_id": agent_id}
    noted = await conn.execute(sql.note_read, {**agent, "read_at": report.read_at})
    if noted.rowcount == 0:
        return []
    open_ones = {
        "task_ids": [question.task_id for question in report.questions],
        "asked_at": [question.since for question in report.questions],
    }
    await _put_reported(conn, agent, report)
    answered = {
        "answered_ids": [one.task_id for one in report.answered],
        "answered_at": [one.since for one in report.answered],
        "deciders": [one.decided_by for one in report.answered],
    }
    since = {"since": report.complete_since}
    await conn.execute(sql.close_unreported, {**agent, **open_ones, **answered, **since})
    unknown = await conn.execute(sql.list_unknown, {**agent, **open_ones, "limit": MOST_DESCRIBED})
    return [row["task_id"] for row in await unknown.fetchall()]


async def purge_questions(conn: Connection, days: int, limit: int) -> int:
    """Delete questions that were closed so long ago, and return how many."""
    return (await conn.execute(sql.purge_questions, {"days": days, "limit": limit})).rowcount


async def _put_reported(conn: Connection, agent: Mapping[str, str], report: QuestionsBody) -> None:
    described = [(one, one.described) for one in report.questions if one.described is not None]
    if not described:
        return
    given = {
        **agent,
        "task_ids": [one.task_id for one, _ in described],
        "asked_at": [one.since for one, _ in described],
        "thread_ids": [asked.thread_id for _, asked in described],
        "callers": [asked.caller for _, asked in described],
        "digests": [asked.digest for _, asked in described],
        "asked": [Jsonb(asked.asked()) for _, asked in described],
    }
    await conn.execute(sql.put_reported, given)


def _selected(tenant_id: str, selection: Selection, after: int | None, limit: int) -> Mapping[str, Any]:
    labels = Jsonb(selection.labels) if selection.labels else None
    return {**asdict(selection), "labels": labels, "tenant_id": tenant_id, "after": after, "limit": limit}


def _questions(conn: Connection) -> AsyncCursor[Question]:
    return conn.cursor(row_factory=class_row(Question))
