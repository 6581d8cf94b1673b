"""Messages that are sent again, because nobody knows whether they arrived: each is done once."""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import psycopg

from agent_runtime.errors import AgentError, AlreadyAccepted, KeyOfAnotherMessage
from groundwork.postgres.pool import Connection, Pool, connection
from groundwork.postgres.sql import Queries

sql = Queries("agent_runtime.turns", "once.sql")

_REFUSALS: dict[str, Callable[[str], AgentError]] = {
    "AS007": AlreadyAccepted,
    "AS008": lambda detail: KeyOfAnotherMessage(),
}
"""By the SQLSTATE of `claim_message_key`."""


@dataclass(frozen=True)
class MessageKey:
    """Under which a message may be sent again. `digest` is of what is sent: the same each time."""

    key: bytes
    digest: bytes

    @classmethod
    def of(cls, digest: bytes, *scope: str) -> "MessageKey":
        """Return the key that `scope` names: the agent, the caller, and how the caller has named the message."""
        parts = [part.encode(errors="surrogatepass") for part in scope]
        return cls(hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).digest(), digest)


@asynccontextmanager
async def key_fence() -> AsyncIterator[None]:
    """Turn the database's refusals of a key into `AlreadyAccepted` and `KeyOfAnotherMessage`."""
    try:
        yield
    except psycopg.DatabaseError as error:
        if refusal := _REFUSALS.get(error.sqlstate or ""):
            raise refusal(error.diag.message_detail or "") from None
        raise


async def claim_message_key(conn: Connection, key: MessageKey, thread_id: str, task_id: str) -> None:
    """In a transaction: take the key for the task. Raises `AlreadyAccepted`, `KeyOfAnotherMessage`."""
    parameters = {"key": key.key, "digest": key.digest, "thread_id": thread_id, "task_id": task_id}
    async with key_fence():
        await conn.execute(sql.claim_message_key, parameters)


async def refuse_if_accepted(pool: Pool, key: MessageKey | None) -> None:
    """Raise `AlreadyAccepted` or `KeyOfAnotherMessage` for a message that is not going to be accepted anyway."""
    if key is None:
        return
    async with connection(pool) as conn:
        row = await (await conn.execute(sql.find_message_key, {"key": key.key})).fetchone()
    if row is None:
        return
    if row["digest"] != key.digest:
        raise KeyOfAnotherMessage
    raise AlreadyAccepted(row["task_id"])


async def find_place(pool: Pool, key: MessageKey) -> tuple[str, str] | None:
    """Return the thread and the task of the message that was accepted under the key."""
    async with connection(pool) as conn:
        row = await (await conn.execute(sql.find_message_key, {"key": key.key})).fetchone()
    return (row["thread_id"], row["task_id"]) if row else None


async def find_answer(pool: Pool, key: MessageKey) -> bytes | None:
    """Return the bare message that the message under the key was answered with."""
    async with connection(pool) as conn:
        row = await (await conn.execute(sql.find_message_key, {"key": key.key})).fetchone()
    return row["answer"] if row else None


async def delete_old_keys(conn: Connection, agent_id: str, hours: int, limit: int) -> int:
    """Remove keys of the agent's messages that are so old, and return how many."""
    parameters = {"agent_id": agent_id, "hours": hours, "limit": limit}
    return (await conn.execute(sql.delete_old_keys, parameters)).rowcount
