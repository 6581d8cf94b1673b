"""SIGINT and SIGTERM while a command is not ready yet. Quick to import: it comes before everything else."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


def end_at_signals() -> None:
    """End the process with status 0 at a signal, for as long as it has begun nothing that would be left over.

    For commands that serve: ending is what they are told to do, and imports take a second.
    """
    for number in SIGNALS:
        signal.signal(number, _end)


def _end(number: int, frame: FrameType | None) -> None:
    # Not an exception: it could arrive anywhere in an import, and be taken for that module's own failure.
    os._exit(0)


class Cancelling:
    """Cancels the task that opens it at each signal, so that what is half open is closed.

    Whoever serves replaces the handlers by its own (`groundwork.http.serving`), once there is something to drain.
    """

    def __init__(self) -> None:
        self._received: list[int] = []

    def watch(self) -> None:
        import asyncio
        import threading

        if threading.current_thread() is not threading.main_thread():
            return  # a signal reaches the main thread alone, whose owner is somebody else then
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None
        for number in SIGNALS:
            loop.add_signal_handler(number, self._cancel, task, number)

    def _cancel(self, task: asyncio.Task[object], number: int) -> None:
        self._received.append(number)
        task.cancel()

    def status(self, *, serves: bool) -> int:
        """The exit status of a command that was cancelled: a first signal ends one that serves as it should."""
        if serves and len(self._received) == 1:
            return 0
        return 128 + (self._received[0] if self._received else signal.SIGINT)
