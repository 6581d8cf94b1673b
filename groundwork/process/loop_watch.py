"""Notices, from another thread, that the event loop stands still, and says where."""

import asyncio
import logging
import sys
import threading
import time
from pathlib import Path
from types import FrameType

from groundwork.bounds import HELD_SECONDS

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
"""How often the loop is asked for a sign of life, and how long it may take for it."""

_WAIT_SECONDS = 0.1
_TELL_SECONDS = 60.0
_FRAMES_SHOWN = 8
_NOT_THE_USERS = ("site-packages", "dist-packages")


class LoopWatch:
    """A watch over the event loop that it was made on, kept by `look` in another thread.

    Nothing else of a process is done while code blocks its loop: `time.sleep`, a request without `await`. `code`
    is the directory of the code that is suspected of it.
    """

    def __init__(self, code: Path | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._code = code
        self._asked_at: float | None = None
        self._is_stalled = False
        self._is_called_back = True
        self._told: dict[str, float] = {}
        self.holds = 0
        self.stalls = 0
        self.stalled_seconds = 0.0

    @property
    def blocked_seconds(self) -> float:
        """For how long the loop has not answered; a moment of it is no sign of anything."""
        asked_at = self._asked_at
        return 0.0 if asked_at is None else time.monotonic() - asked_at

    async def look(self) -> None:
        """The loops that watch, to be run elsewhere."""
        await asyncio.gather(self._look_for_stalls(), self._look_for_holds())

    async def _look_for_holds(self) -> None:
        """Count and tell what uses the processor for so long that nothing else on the loop moves.

        A thread that only has to wait for its turn, on a busy machine, holds nothing: processor time counts.
        """
        if not hasattr(time, "pthread_getcpuclockid"):
            return
        clock = time.pthread_getcpuclockid(self._thread)
        while True:
            self._is_called_back, began = False, time.clock_gettime(clock)
            self._loop.call_soon_threadsafe(self._call_back)
            await asyncio.sleep(HELD_SECONDS)
            is_told = False
            while not self._is_called_back:
                held = time.clock_gettime(clock) - began
                if held >= HELD_SECONDS and not is_told:
                    is_told = True
                    self.holds += 1
                    self._tell_of_hold(held)
                await asyncio.sleep(HELD_SECONDS / 5)

    def _call_back(self) -> None:
        self._is_called_back = True

    def _tell_of_hold(self, seconds: float) -> None:
        """Log where, the innermost frame first; the same place once a minute."""
        frames = _frames(sys._current_frames().get(self._thread))[:_FRAMES_SHOWN]
        places = [f"{frame.f_code.co_filename}:{frame.f_lineno} in {frame.f_code.co_name}" for frame in frames]
        place, now = " < ".join(places[:1]) or "unknown", time.monotonic()
        if now - self._told.get(place, -_TELL_SECONDS) < _TELL_SECONDS:
            return
        self._told = {known: at for known, at in self._told.items() if now - at < _TELL_SECONDS} | {place: now}
        logger.warning("event loop held processor_seconds=%.3f at %s", seconds, " < ".join(places) or place)

    async def _look_for_stalls(self) -> None:
        while True:
            self._asked_at = time.monotonic()
            self._loop.call_soon_threadsafe(self._answer)
            await asyncio.sleep(_LOOK_SECONDS)
            if self._asked_at is not None:
                await self._wait(self._asked_at)

    def _answer(self) -> None:
        if self._is_stalled:
            self.stalled_seconds += self.blocked_seconds
        self._asked_at, self._is_stalled = None, False

    async def _wait(self, since: float) -> None:
        self.stalls, self._is_stalled = self.stalls + 1, True
        seconds = time.monotonic() - since
        logger.warning("event loop blocked seconds=%.1f %s; nothing else runs meanwhile", seconds, self._where())
        while self._asked_at is not None:  # noqa: ASYNC110  # an Event belongs to one of the two loops
            await asyncio.sleep(_WAIT_SECONDS)
        logger.warning("event loop runs again seconds=%.1f", time.monotonic() - since)

    def _where(self) -> str:
        """Where it stands still, and the function that the library has called for it: a node, or a tool."""
        frames = _frames(sys._current_frames().get(self._thread))
        frames = [frame for frame in frames if self._is_suspected(frame)] or frames[:1]
        if not frames:
            return "node=unknown"
        code = frames[0].f_code
        at = f"{code.co_filename}:{frames[0].f_lineno} in {code.co_name}"
        return f"node={frames[-1].f_code.co_name} at {at}"

    def _is_suspected(self, frame: FrameType) -> bool:
        path = Path(frame.f_code.co_filename)
        return self._code is not None and path.is_relative_to(self._code) and not {*path.parts} & {*_NOT_THE_USERS}


def _frames(frame: FrameType | None) -> list[FrameType]:
    """The frame and those that have called it, the innermost first."""
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames
