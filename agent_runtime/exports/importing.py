"""Threads on their way in, from the lines that another database has written."""

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

import psycopg

from agent_runtime.errors import AgentError, ThreadUnclaimed
from agent_runtime.exports.lines import FORMAT
from agent_runtime.exports.store import EXPORTED_TABLES, import_row
from agent_runtime.threads.ids import is_thread_id
from agent_runtime.threads.store import claim_thread
from groundwork.postgres.pool import Connection, Pool, transaction

_READ_BY_PEOPLE = {"message", "state", "unreadable", "file"}


class ExportDamaged(AgentError):
    """A line cannot be imported; nothing of its thread is, and the threads before it are."""

    def __init__(self, number: int, why: str) -> None:
        super().__init__(f"line {number}: {why}")


@dataclass
class Imported:
    """What became of a thread. `was_there` when its id was taken: nothing of it was changed then."""

    thread_id: str
    was_there: bool = False
    rows: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class _Line:
    number: int
    kind: str
    said: dict[str, Any]

    def damaged(self, why: str) -> ExportDamaged:
        return ExportDamaged(self.number, why)


async def import_threads(pool: Pool, agent_id: str, lines: Iterable[bytes]) -> AsyncIterator[Imported]:
    """Make the exported threads the agent's, each in a transaction of its own, and yield each once it is there.

    Raises `ExportDamaged`, also where the lines break off, and `DatabaseUnavailable`.
    """
    read = _read(lines)
    for line in read:
        if line.kind != "thread":
            raise line.damaged(f"a line of kind {line.kind!r} where a thread begins")
        async with transaction(pool) as conn:
            imported = await _import_thread(conn, agent_id, line, read)
        yield imported


async def _import_thread(conn: Connection, agent_id: str, head: _Line, lines: Iterator[_Line]) -> Imported:
    thread_id, caller = head.said.get("thread_id"), head.said.get("caller")
    if head.said.get("format") != FORMAT:
        raise head.damaged(f"format {head.said.get('format')!r}; this release reads {FORMAT}")
    if not isinstance(thread_id, str) or not is_thread_id(thread_id) or not isinstance(caller, str):
        raise head.damaged("the thread has no id, or no caller")
    imported = Imported(thread_id)
    owner_key = await _claim(conn, agent_id, head, thread_id, caller)
    imported.was_there = owner_key is None
    for line in lines:
        if line.kind == "row" and owner_key is not None:
            imported.rows[await _import_row(conn, line, thread_id, owner_key, caller)] += 1
        elif line.kind == "end":
            if owner_key is not None and line.said.get("rows") != dict(imported.rows):
                raise line.damaged(f"thread {thread_id!r} does not have the rows that it ends with")
            return imported
        elif line.kind != "row" and line.kind not in _READ_BY_PEOPLE:
            raise line.damaged(f"a line of kind {line.kind!r} within thread {thread_id!r}")
    raise head.damaged(f"the export breaks off within thread {thread_id!r}")


async def _claim(conn: Connection, agent_id: str, head: _Line, thread_id: str, caller: str) -> int | None:
    """Return the key of a thread that was made; `None` for one that was there, whoever's it is."""
    try:
        async with conn.transaction():
            claimed = await claim_thread(conn, agent_id, thread_id, caller)
            return claimed.owner_key if claimed.created else None
    except ThreadUnclaimed as error:
        raise head.damaged(str(error)) from None
    except AgentError:  # another agent's, or another caller's
        return None


async def _import_row(conn: Connection, line: _Line, thread_id: str, owner_key: int, caller: str) -> str:
    table, row = line.said.get("table"), line.said.get("row")
    if table not in EXPORTED_TABLES or not isinstance(row, dict):
        raise line.damaged(f"a row of table {table!r}; accepted: {', '.join(EXPORTED_TABLES)}")
    try:
        await import_row(conn, table, row, thread_id=thread_id, owner_key=owner_key, caller=caller)
    except (psycopg.DataError, psycopg.IntegrityError) as error:
        raise line.damaged(f"PostgreSQL refuses the row of {table}: {error.diag.message_primary}") from None
    return str(table)


def _read(lines: Iterable[bytes]) -> Iterator[_Line]:
    for number, text in enumerate(lines, start=1):
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            raise ExportDamaged(number, "not a JSON object") from None
        if not isinstance(said, dict) or not isinstance(said.get("kind"), str):
            raise ExportDamaged(number, "not a JSON object with a kind")
        yield _Line(number, said["kind"], said)
