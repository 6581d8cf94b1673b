"""The rows of a run on their way to the database: gathered for a moment, and while others are being written."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from agent_runtime.turns.types import TurnRows

GATHER_SECONDS = 0.005
"""How long rows wait for others at least: a node's writes and the checkpoint after it come right after each other,
and after the last checkpoint of a run its turn ends, which is one transaction then."""

LONGEST_SECONDS = 0.1
"""How long at most, while more keep coming."""

_QUIET_ROUNDS = 10
"""In a process with much to do five milliseconds are nothing. A run that has all it needs for its next step gets
there within so many rounds of the event loop, however long they take; any other waits for something."""


class WriteBehind:
    """Stores rows in the order in which they were added, a batch at a time. Nothing is stored after a failure: the
    error is raised by whatever is called next, and by everything after that."""

    def __init__(self, store: Callable[[TurnRows], Coroutine[Any, Any, None]], *, by_itself: bool) -> None:
        """Unless rows are stored `by_itself`, they are when `flush` is called, or are left for `take`."""
        self._store = store
        self._by_itself = by_itself
        self._waiting = TurnRows()
        self._writing: asyncio.Task[None] | None = None
        self._timer: asyncio.Handle | None = None
        self._quiet_rounds = 0
        self._write_by = 0.0
        self._failure: BaseException | None = None
        self.has_begun = False
        """Whether rows were ever added."""

    def rows(self) -> TurnRows:
        """Where to add rows; they are stored soon."""
        self._raise_failure()
        self.has_begun = True
        self._quiet_rounds = 0
        if self._by_itself and self._timer is None:
            self._write_soon()
        return self._waiting

    async def flush(self) -> None:
        """Once this returns, everything that was added is stored."""
        while self._writing is not None or self._waiting:
            if self._writing is None:
                self._write()
            await self._written()
        self._raise_failure()

    async def take(self) -> TurnRows:
        """The rows that are not stored yet, for the caller to store; what is being stored is waited for."""
        self._stop_timer()
        while self._writing is not None:
            await self._written()
        self._raise_failure()
        rows, self._waiting = self._waiting, TurnRows()
        return rows

    def _write_soon(self) -> None:
        loop = asyncio.get_running_loop()
        self._write_by = loop.time() + LONGEST_SECONDS
        self._timer = loop.call_later(GATHER_SECONDS, self._write_when_quiet)

    def _write_when_quiet(self) -> None:
        loop = asyncio.get_running_loop()
        self._quiet_rounds += 1
        if self._quiet_rounds <= _QUIET_ROUNDS and loop.time() < self._write_by:
            self._timer = loop.call_soon(self._write_when_quiet)
            return
        self._timer = None
        if self._writing is None and self._waiting:
            self._write()

    def _write(self) -> None:
        self._stop_timer()
        rows, self._waiting = self._waiting, TurnRows()
        if self._failure is None:
            self._writing = asyncio.create_task(self._store(rows), name="checkpoints")
            self._writing.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._writing = None
        if task.cancelled():
            self._failure = asyncio.CancelledError()
        elif error := task.exception():
            self._failure = error
        elif self._waiting and self._by_itself and self._timer is None:
            self._write()  # they have waited long enough

    async def _written(self) -> None:
        """Waits for what is being written, and leaves it alone when the caller is cancelled."""
        if self._writing is not None:
            await asyncio.wait([self._writing])

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure
