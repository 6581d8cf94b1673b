"""The rows of a run on their way to the database: gathered while others are being written, and for a moment."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from agent_runtime.turns.checkpoint_rows import CheckpointRows

GATHER_SECONDS = 0.005
"""How long rows wait for others: the writes of a node and the checkpoint after it come one right after the other,
and after a run's last checkpoint its turn ends, which is one transaction then."""


class WriteBehind:
    """Stores rows in the order in which they were added, a batch at a time. Nothing is added after a failure: the
    error is raised by whatever is called next, and by everything after."""

    def __init__(
        self,
        store: Callable[[CheckpointRows], Coroutine[Any, Any, None]],
        *,
        gather_seconds: float | None = GATHER_SECONDS,
    ) -> None:
        """Without `gather_seconds` rows are stored when `flush` is called, or are left for `take`."""
        self._store = store
        self._gather_seconds = gather_seconds
        self._waiting = CheckpointRows()
        self._writing: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._failure: BaseException | None = None
        self.has_begun = False
        """Whether rows were ever added."""

    def rows(self) -> CheckpointRows:
        """Where to add rows; they are stored soon."""
        self._raise_failure()
        self.has_begun = True
        if self._gather_seconds is not None and self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(self._gather_seconds, self._write_soon)
        return self._waiting

    async def flush(self) -> None:
        """Once this returns, everything that was added is stored."""
        while self._writing is not None or self._waiting:
            if self._writing is None:
                self._write()
            await self._written()
        self._raise_failure()

    async def take(self) -> CheckpointRows:
        """The rows that are not stored yet, for the caller to store; what is being stored is waited for."""
        self._stop_timer()
        while self._writing is not None:
            await self._written()
        self._raise_failure()
        rows, self._waiting = self._waiting, CheckpointRows()
        return rows

    def _write_soon(self) -> None:
        self._timer = None
        if self._writing is None and self._waiting:
            self._write()

    def _write(self) -> None:
        self._stop_timer()
        rows, self._waiting = self._waiting, CheckpointRows()
        if self._failure is None:
            self._writing = asyncio.create_task(self._store(rows), name="checkpoints")
            self._writing.add_done_callback(self._ended)

    def _ended(self, task: "asyncio.Task[None]") -> None:
        self._writing = None
        if task.cancelled():
            self._failure = asyncio.CancelledError()
        elif error := task.exception():
            self._failure = error
        elif self._waiting and self._gather_seconds is not None and self._timer is None:
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
