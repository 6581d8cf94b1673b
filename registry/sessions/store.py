"""The rows of sessions. A session belongs to a token, and what it may do is what the token may."""

from dataclasses import dataclass
from datetime import timedelta

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries
from registry.access import Role
from registry.sessions.models import Session

sql = Queries("registry.sessions")


@dataclass(frozen=True)
class FoundSession:
    """A session with its token, as far as it matters to a request."""

    session_id: str
    token_id: str
    tenant_id: str
    role: Role
    token_name: str
    revoked: bool
    expired: bool
    tenant_status: str
    use_is_worth_noting: bool


async def open_session(
    conn: Connection, session_id: str, session_hash: bytes, token_id: str, browser: str, longest: timedelta
) -> None:
    given = {"session_id": session_id, "session_hash": session_hash, "token_id": token_id, "browser": browser}
    await conn.execute(sql.open_session, {**given, "longest": longest})


async def drop_ended_sessions(conn: Connection, token_id: str, most: int) -> None:
    await conn.execute(sql.drop_ended_sessions, {"token_id": token_id, "most": most})


async def find_session(conn: Connection, session_hash: bytes, idle: timedelta) -> FoundSession | None:
    row = await (await conn.execute(sql.find_session, {"session_hash": session_hash, "idle": idle})).fetchone()
    return FoundSession(**row) if row else None


async def note_use(conn: Connection, session_id: str) -> None:
    await conn.execute(sql.note_use, {"session_id": session_id})


async def list_sessions(conn: Connection, token_id: str, idle: timedelta) -> list[Session]:
    """The newest first."""
    rows = await (await conn.execute(sql.list_sessions, {"token_id": token_id, "idle": idle})).fetchall()
    return [Session(**row) for row in rows]


async def end_sessions(conn: Connection, token_id: str, session_id: str | None) -> int:
    """Return how many there were: of the token all, or the one that is named."""
    ended = await conn.execute(sql.end_sessions, {"token_id": token_id, "session_id": session_id})
    return ended.rowcount
