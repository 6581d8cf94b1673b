"""Removes records of turns and keys of messages when their days are over, beside the turns."""

import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping

from agent_runtime.retention.store import move_sweep, open_sweep, take_sweep
from agent_runtime.turn_records.store import prune_records
from agent_runtime.turns.once import delete_old_keys
from groundwork.postgres.pool import Connection, Pool, connection, transaction
from groundwork.process.repeating import repeat

logger = logging.getLogger(__name__)

PASS_SECONDS = 3600.0
"""How long after the end of a pass the next one begins."""

LOOK_SECONDS = 60.0
BATCH = 1000

_Remove = Callable[[Connection], Awaitable[int]]


class OldRows:
    """The sweep over what an agent keeps for some days: one of all its processes together, a row of `agent_sweeps`
    for each table, and a step that is under way anywhere keeps the others from one."""

    def __init__(
        self,
        pool: Pool,
        agent_id: str,
        *,
        record_days: int,
        key_hours: int,
        removed: Callable[[Mapping[str, int]], None],
    ) -> None:
        """`removed` is told of the rows of each step, by table."""
        self._pool = pool
        self._agent_id = agent_id
        self._removed = removed
        self._removers: dict[str, _Remove] = {
            "agent_turn_records": lambda conn: prune_records(conn, agent_id, record_days, BATCH),
            "agent_message_keys": lambda conn: delete_old_keys(conn, agent_id, key_hours, BATCH),
        }

    async def sweep(self) -> None:
        """The loop that lasts as long as the process."""
        await repeat(self.work, LOOK_SECONDS, "removing old rows")

    async def work(self) -> None:
        """Remove what is old now. Raises `DatabaseUnavailable`."""
        rows: Counter[str] = Counter()
        for table in self._removers:
            while removed := await self._step(table):
                rows[table] += removed
                self._removed({table: removed})
                if removed < BATCH:
                    break
        for table, removed in rows.items():
            logger.info("old rows removed table=%s rows=%d", table, removed)

    async def _step(self, table: str) -> int:
        """Return how many rows went; none when another process is at it, or no pass is due."""
        async with connection(self._pool) as conn:
            await open_sweep(conn, self._agent_id, table)
        async with transaction(self._pool) as conn:
            if await take_sweep(conn, self._agent_id, table) is None:
                return 0
            removed = await self._removers[table](conn)
            if removed < BATCH:
                await move_sweep(conn, self._agent_id, table, 0, PASS_SECONDS)
            return removed
