"""Loops that run beside the requests and live exactly as long as a block."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

logger = logging.getLogger(__name__)

Loop = Callable[[], Coroutine[Any, Any, None]]

_FIRST_PAUSE_SECONDS = 1.0
_LONGEST_PAUSE_SECONDS = 60.0


@asynccontextmanager
async def running(name: str, loop: Loop) -> AsyncIterator[None]:
    """Runs `loop` while the block runs, and cancels and awaits it at the end.

    One that crashes is begun again, after a second at first and less often when that does not help; each crash is
    logged with its traceback. It does not stop the block, because a process that lacks one background job for a
    while serves its callers better than one that is gone. One that returns has done what it was there for.
    """
    task = asyncio.create_task(_again_and_again(name, loop), name=name)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def _again_and_again(name: str, loop: Loop) -> None:
    pause = _FIRST_PAUSE_SECONDS
    while True:
        began = time.monotonic()
        try:
            await loop()
        except Exception:
            if _is_being_stopped():
                logger.exception("background job %s crashed when it was stopped", name)
                return
            if time.monotonic() - began > _LONGEST_PAUSE_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            logger.exception("background job %s crashed and begins again in %.0f s", name, pause)
        else:
            return
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _is_being_stopped() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
