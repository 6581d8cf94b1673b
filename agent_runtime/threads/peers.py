"""Which other agents were asked in a thread."""

from collections.abc import Sequence
from typing import NamedTuple

import psycopg

from agent_runtime.threads.store import sql
from groundwork.postgres.pool import Connection, Pool, connection

MOST_TOLD = 1000
"""How much one step of an erasure tells peers: what is beyond that is left to them."""


class PeerTask(NamedTuple):
    """A peer that was asked, the conversation there, and a task of it that has not ended. An empty id: none."""

    peer: str
    context_id: str = ""
    task_id: str = ""


class PeerNotes:
    """Notes of which peers were asked, so that they are told when what was said is erased."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def asked(self, thread_id: str, asked: PeerTask) -> None:
        """Note that the peer is asked, or what it has of it. Of a thread that is gone nothing is noted. Raises
        `DatabaseUnavailable`."""
        try:
            async with connection(self._pool) as conn:
                await conn.execute(sql.note_peer_task, {"thread_id": thread_id, **asked._asdict()})
        except psycopg.errors.ForeignKeyViolation:
            return

    async def ended(self, thread_id: str, peer: str, task_id: str) -> None:
        """Note that the task has ended; the peer stays noted. Raises `DatabaseUnavailable`."""
        async with connection(self._pool) as conn:
            parameters = {"thread_id": thread_id, "peer": peer, "task_id": task_id}
            await conn.execute(sql.forget_peer_task, parameters)


async def list_peer_tasks(conn: Connection, thread_ids: Sequence[str]) -> list[PeerTask]:
    """Return which peers the threads have asked, and their tasks that have not ended."""
    parameters = {"thread_ids": list(thread_ids), "limit": MOST_TOLD}
    rows = await (await conn.execute(sql.list_peer_tasks, parameters)).fetchall()
    return [PeerTask(**row) for row in rows]
