"""The threads of runs that leave nothing, and go once the run is over and read."""

import asyncio
import logging
from typing import Any, Protocol

from agent_runtime.errors import ThreadNotFound
from agent_runtime.langgraph_server.feed import RunFeed
from agent_runtime.langgraph_server.webhooks import Webhooks

logger = logging.getLogger(__name__)


class ThreadEraser(Protocol):
    """What removes threads; see `threads.service.Threads`."""

    async def delete_thread(self, thread_id: str) -> Any: ...


class TemporaryThreads:
    """Those of this process; what it leaves, `LangGraphServer.tidy` removes."""

    def __init__(self, feed: RunFeed, webhooks: Webhooks, threads: ThreadEraser) -> None:
        self._feed = feed
        self._webhooks = webhooks
        self._threads = threads
        self._by_run: dict[str, str] = {}
        self._removing: set[asyncio.Task[None]] = set()

    def note(self, run_id: str, thread_id: str) -> None:
        self._by_run[run_id] = thread_id

    def forget(self, run_id: str) -> None:
        """The run did not come about."""
        self._by_run.pop(run_id, None)

    def is_over(self, run_id: str) -> None:
        """The run has ended. Whoever still reads its frames removes its thread when that is done."""
        if run_id in self._by_run and not self._feed.is_followed(run_id):
            task = asyncio.create_task(self.remove(run_id), name=f"remove-{run_id}")
            self._removing.add(task)
            task.add_done_callback(self._removing.discard)

    async def remove(self, run_id: str) -> None:
        """Remove the thread of the run, if that leaves nothing."""
        if (thread_id := self._by_run.pop(run_id, None)) is not None:
            await self._webhooks.has_read(run_id)
            try:
                await self._threads.delete_thread(thread_id)
            except ThreadNotFound:
                logger.debug("thread of a finished run is gone already thread_id=%s", thread_id)
