"""Tells those who follow whole threads which runs have begun there, here or on another replica."""

import asyncio
import logging
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from agent_runtime.langgraph_server import store
from agent_runtime.langgraph_server.store import ThreadRun
from groundwork.postgres.pool import DatabaseUnavailable, Pool, connection

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.5
_AWAY_SECONDS = 2.0


@dataclass(eq=False)
class ThreadWatcher:
    """One who follows a thread of a caller, from the run after `number` on."""

    thread_id: str
    caller: str
    number: int
    closed: bool = False
    _runs: deque[ThreadRun] = field(default_factory=deque)
    _wake: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def is_waiting(self) -> bool:
        return not self._runs

    async def next(self, timeout: float) -> ThreadRun | None:
        """Return the next run in the order of the thread; `None` when so many seconds bring none."""
        if not self._runs:
            self._wake.clear()
            try:
                async with asyncio.timeout(timeout):
                    await self._wake.wait()
            except TimeoutError:
                return None
        return self._runs.popleft() if self._runs else None

    def offer(self, run: ThreadRun) -> None:
        if run.number > self.number:
            self.number = run.number
            self._runs.append(run)
        self._wake.set()

    def close(self) -> None:
        self.closed = True
        self._wake.set()


class ThreadWatch:
    """Finds the runs of all followed threads with one query. Nobody holds a connection while waiting."""

    def __init__(self, pool: Pool, agent_id: str) -> None:
        self._pool = pool
        self._agent_id = agent_id
        self._watchers: list[ThreadWatcher] = []
        self._look = asyncio.Event()
        self._closed = False

    @contextmanager
    def watch(self, thread_id: str, caller: str, number: int) -> Iterator[ThreadWatcher]:
        """Follow a thread, which need not be there yet."""
        watcher = ThreadWatcher(thread_id, caller, number, closed=self._closed)
        self._watchers.append(watcher)
        self._look.set()
        try:
            yield watcher
        finally:
            self._watchers.remove(watcher)

    def accepted(self, thread_id: str) -> None:
        """A run was accepted here."""
        if any(watcher.thread_id == thread_id for watcher in self._watchers):
            self._look.set()

    def close(self) -> None:
        """End the wait of everybody."""
        self._closed = True
        for watcher in self._watchers:
            watcher.close()

    async def poll(self) -> None:
        """The loop that looks for runs."""
        while True:
            try:
                async with asyncio.timeout(_POLL_SECONDS if self._watchers else None):
                    await self._look.wait()
            except TimeoutError:
                pass
            self._look.clear()
            try:
                await self._look_once()
            except DatabaseUnavailable as error:
                logger.warning("searching for runs of followed threads failed: %s", error)
                await asyncio.sleep(_AWAY_SECONDS)

    async def _look_once(self) -> None:
        waiting = [watcher for watcher in self._watchers if watcher.is_waiting]
        if not waiting:
            return
        places = [(watcher.thread_id, watcher.caller, watcher.number) for watcher in waiting]
        async with connection(self._pool) as conn:
            found = await store.list_runs_after(conn, self._agent_id, places)
        for place, run in found:
            waiting[place].offer(run)
