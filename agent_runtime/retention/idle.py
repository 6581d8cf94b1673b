"""Ends threads that nobody has used for a while, beside the turns."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence

from agent_runtime.retention import store
from agent_runtime.threads.erasure import Erasure
from agent_runtime.threads.store import erase_threads, list_threads
from groundwork.postgres.pool import (
    Connection,
    DatabaseUnavailable,
    Pool,
    connection,
    transaction,
)
from groundwork.process.each_row import EachRow, is_database_away

logger = logging.getLogger(__name__)

KIND = "idle_threads"

PASS_SECONDS = 3600.0
"""How long after the end of a pass over all threads the next one begins, at most."""

LOOK_SECONDS = 30.0
"""How often a process asks whether a pass is due, and how often one that goes on is told of in the log."""

PAGE = 200
"""How many threads one transaction looks at: turns in those that it ends wait for it."""


class IdleThreads:
    """Erases the agent's threads that were not used for `idle_seconds`, never one that is busy or waits for input.

    All processes of the agent make one sweep together: where it stands is a row in the database, so that it goes
    on after a restart, and a step that is under way anywhere keeps the others from one. Between its steps a
    process rests as long as they took.
    """

    def __init__(
        self,
        pool: Pool,
        agent_id: str,
        idle_seconds: float,
        *,
        forget: Callable[[Sequence[str]], None],
        ended: Callable[[Erasure], None],
    ) -> None:
        """`forget` and `ended` are told of the threads of each step, once they are gone."""
        self._pool = pool
        self._agent_id = agent_id
        self._idle_seconds = idle_seconds
        self._pass_seconds = min(PASS_SECONDS, idle_seconds / 2)
        self._forget = forget
        self._ended = ended
        self._rows = EachRow("ending idle threads", logger)
        self._since_told = Erasure()
        self._told_at = time.monotonic()

    async def sweep(self) -> None:
        """The loop that ends idle threads, and lasts as long as the process."""
        while True:
            began = time.monotonic()
            try:
                goes_on = await self.step()
            except DatabaseUnavailable as error:
                logger.warning("ending idle threads failed: %s", error)
                goes_on = False
            if goes_on:
                await asyncio.sleep(time.monotonic() - began)
            else:
                await asyncio.sleep(min(LOOK_SECONDS, self._pass_seconds))

    async def step(self) -> bool:
        """Looks at the next threads, and ends those that are idle. Returns whether the pass goes on; not when
        another process is at it. Raises `DatabaseUnavailable`."""
        async with connection(self._pool) as conn:
            await store.open_sweep(conn, self._agent_id, KIND)
        async with transaction(self._pool) as conn:
            position = await store.take_sweep(conn, self._agent_id, KIND)
            if position is None:
                return False
            page = await list_threads(conn, self._agent_id, position, PAGE)
            erasure, gone = await self._end(conn, [thread.thread_id for thread in page])
            if goes_on := len(page) == PAGE:
                await store.move_sweep(conn, self._agent_id, KIND, page[-1].position)
            else:
                await store.move_sweep(conn, self._agent_id, KIND, 0, self._pass_seconds)
        self._forget(gone)
        self._ended(erasure)
        self._tell(erasure, passed=not goes_on)
        return goes_on

    async def _end(self, conn: Connection, thread_ids: Sequence[str]) -> tuple[Erasure, list[str]]:
        """What goes wrong with one thread leaves the others to be ended, one by one."""
        idle = await store.list_idle(conn, thread_ids, self._idle_seconds)
        if not idle:
            return Erasure(), []
        try:
            return await self._erase(conn, idle)
        except Exception as error:
            if is_database_away(error):
                raise
        erasure, gone, resting = Erasure(), [], self._rows.resting()
        for thread_id in idle:
            if thread_id not in resting:
                with self._rows.handling(thread_id, thread_id=thread_id):
                    one, ended = await self._erase(conn, [thread_id])
                    erasure += one
                    gone += ended
        return erasure, gone

    async def _erase(self, conn: Connection, thread_ids: Sequence[str]) -> tuple[Erasure, list[str]]:
        async with conn.transaction():
            locked = await store.lock_idle(conn, self._agent_id, thread_ids, self._idle_seconds)
            return await erase_threads(conn, self._agent_id, locked), locked

    def _tell(self, erasure: Erasure, *, passed: bool) -> None:
        self._since_told += erasure
        if self._since_told.threads and (passed or time.monotonic() - self._told_at >= LOOK_SECONDS):
            logger.info(
                "idle threads ended threads=%d rows=%d pass_completed=%s",
                self._since_told.threads,
                sum(self._since_told.rows.values()),
                str(passed).lower(),
            )
            self._since_told, self._told_at = Erasure(), time.monotonic()
