"""Loops that run beside the requests and live exactly as long as a block, and tasks that get some time to end."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Collection, Coroutine
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
    task = asyncio.create_task(run_again(name, loop), name=name)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def let_end(tasks: Collection[asyncio.Task[Any]], seconds: float) -> int:
    """Waits for so long, or until the wait is cancelled, then stops those that have not ended where they are.
    Returns how many."""
    try:
        if tasks and seconds:
            await asyncio.wait(tasks, timeout=seconds)
    finally:
        late = [task for task in tasks if not task.done()]
        for task in late:
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
    return len(late)


async def run_again(name: str, loop: Loop) -> None:
    """Run the loop until it returns, and begin it again whenever it crashes; see `running`."""
    pause = _FIRST_PAUSE_SECONDS
    while True:
        began = time.monotonic()
        try:
            await loop()
        except Exception:
            if _is_being_stopped():
                logger.exception("background job crashed while stopping name=%s", name)
                return
            if time.monotonic() - began > _LONGEST_PAUSE_SECONDS:
                pause = _FIRST_PAUSE_SECONDS
            logger.exception("background job crashed name=%s restart_seconds=%.0f", name, pause)
        else:
            return
        await asyncio.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)


def _is_being_stopped() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
