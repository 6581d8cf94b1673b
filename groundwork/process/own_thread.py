"""Loops that go on when the event loop of the process is blocked."""

import asyncio
import logging
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from groundwork.process.background import Loop, run_again

logger = logging.getLogger(__name__)

_END_SECONDS = 5.0


@asynccontextmanager
async def running_in_thread(name: str, loop: Loop) -> AsyncIterator[None]:
    """Run `loop` as `background.running` does, on an event loop and in a thread of its own, while the block runs.

    At the end it is cancelled and awaited, for some seconds at most. The thread is a daemon, and a fork has none.
    """
    here, ended = asyncio.get_running_loop(), asyncio.Event()
    stop: list[asyncio.Task[None]] = []
    started = threading.Event()

    async def main() -> None:
        task = asyncio.ensure_future(run_again(name, loop))
        stop.append(task)
        started.set()
        try:
            with suppress(asyncio.CancelledError):
                await task
        finally:
            with suppress(RuntimeError):  # it is closed: nobody waits any more
                here.call_soon_threadsafe(ended.set)

    thread = threading.Thread(target=asyncio.run, args=(main(),), name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        started.wait()
        with suppress(RuntimeError):  # it has ended by itself
            stop[0].get_loop().call_soon_threadsafe(stop[0].cancel)
        try:
            async with asyncio.timeout(_END_SECONDS):
                await ended.wait()
        except TimeoutError:
            logger.warning("background thread still running name=%s waited_seconds=%.0f", name, _END_SECONDS)
