"""Loops that run beside the requests and live exactly as long as a block."""

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, suppress
from typing import Any

logger = logging.getLogger(__name__)


@asynccontextmanager
async def running(name: str, loop: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Runs `loop` while the block runs, and cancels and awaits it at the end.

    A crash is logged with its traceback when it happens; it does not stop the block, because a process
    that has lost one background job still serves its callers better than one that is gone.
    """
    task = asyncio.create_task(loop, name=name)
    task.add_done_callback(_log_crash)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task


def _log_crash(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()) is not None:
        logger.error("background job %s crashed", task.get_name(), exc_info=error)
