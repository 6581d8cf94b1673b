"""Whether the agent takes new turns: what the registry has said last, also after a restart while it is away."""

import asyncio
import logging
from typing import Protocol

import psycopg

from agent_runtime.live_settings import store
from groundwork.postgres.pool import DatabaseUnavailable, Pool, connection

logger = logging.getLogger(__name__)

HELD = ("paused", "draining", "deactivated")
"""What the registry calls an agent that somebody wants to take no new turns."""

_RETRY_SECONDS = 1.0


class Turns(Protocol):
    """What takes no new turns while `paused` says why."""

    paused: str | None

    @property
    def running(self) -> int: ...
    @property
    def waiting(self) -> int: ...


class Hold:
    """What the registry calls the agent, passed on to its turns and kept in its own database: neither a restart
    nor a registry that is away lets go of an agent that is held."""

    def __init__(self, turns: Turns, pool: Pool, agent_id: str) -> None:
        self._turns = turns
        self._pool = pool
        self._agent_id = agent_id
        self._kept: str | None = None
        self._changed = asyncio.Event()

    @property
    def status(self) -> str | None:
        return self._turns.paused

    @property
    def is_drained(self) -> bool:
        """Nothing new is taken by this process, and nothing runs in it."""
        return self.status is not None and not self._turns.running

    def state(self) -> dict[str, object]:
        """For `/status`; nothing while the agent takes turns."""
        if self.status is None:
            return {}
        return {
            "agent_status": self.status,
            "turns": {"running": self._turns.running, "waiting": self._turns.waiting},
        }

    async def recall(self) -> None:
        """Begin with what was said last. Raises `DatabaseUnavailable`."""
        async with connection(self._pool) as conn:
            self._kept = await store.find_registry_status(conn, self._agent_id)
        if self._kept is not None:
            logger.warning("agent held since before its start status=%s", self._kept)
        self._turns.paused = self._kept

    def become(self, status: str) -> None:
        """The registry says so."""
        held = status if status in HELD else None
        if held != self._turns.paused:
            logger.warning("agent status changed in the registry status=%s", status)
        self._turns.paused = held
        if held != self._kept:
            self._changed.set()

    async def keep(self) -> None:
        """The loop that writes down what changes; heartbeats do not wait for the database."""
        while True:
            await self._changed.wait()
            self._changed.clear()
            status = self.status
            try:
                async with connection(self._pool) as conn:
                    await store.set_registry_status(conn, self._agent_id, status)
                self._kept = status
            except (DatabaseUnavailable, psycopg.Error) as error:
                logger.warning("storing the registry's status failed: %s", error)
                await asyncio.sleep(_RETRY_SECONDS)
                self._changed.set()
