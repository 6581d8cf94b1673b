"""The events of an execution, all of them or as they happen.

Whoever follows holds no connection to the database between two looks at it.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress

from groundwork.postgres.pool import DatabaseUnavailable
from registry.access import Principal
from registry.errors import NotFound
from registry.executions.models import StoredEvent
from registry.executions.service import Executions

logger = logging.getLogger(__name__)

Batches = AsyncIterator[Sequence[StoredEvent]]

BATCH = 200
KEEP_ALIVE_SECONDS = 15.0
_FIRST_LOOK_SECONDS = 0.2
_SLOWEST_LOOK_SECONDS = 1.0


class EventStreams:
    """Reads events in batches, so that however many there are, few are in memory at a time."""

    def __init__(self, executions: Executions) -> None:
        self._executions = executions
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        """Ends whatever is being followed, at once; nothing can be followed from now on."""
        self._stopping.set()

    async def read(self, principal: Principal, execution_id: str, after: int, limit: int | None) -> Batches:
        """The events with greater numbers than `after` that there are now. Raises `NotFound`."""
        last = after if limit is None else after + limit
        until: int | None = None
        while until is None or after < until:
            size = BATCH if limit is None else min(BATCH, last - after)
            progress, events = await self._executions.list_events(principal, execution_id, after, size)
            if until is None:
                until = progress.last_sequence if limit is None else min(progress.last_sequence, last)
            if not events:
                return
            yield events
            after = events[-1].sequence

    async def follow(self, principal: Principal, execution_id: str, after: int) -> Batches:
        """The events with greater numbers than `after`, until the execution has ended and all of them were given.

        When nothing happens there is an empty batch now and then. While the database is away nothing happens.
        """
        pause, quiet_since = _FIRST_LOOK_SECONDS, time.monotonic()
        while not self._stopping.is_set():
            try:
                progress, events = await self._executions.list_events(principal, execution_id, after, BATCH)
            except NotFound:
                return  # it was deleted, with its tenant
            except DatabaseUnavailable as error:
                logger.info("reading execution events failed execution_id=%s: %s", execution_id, error)
            else:
                if events:
                    yield events
                    after = events[-1].sequence
                    pause, quiet_since = _FIRST_LOOK_SECONDS, time.monotonic()
                if after < progress.last_sequence:
                    continue
                if progress.has_ended:
                    return
            if time.monotonic() - quiet_since >= KEEP_ALIVE_SECONDS:
                yield []
                quiet_since = time.monotonic()
            await self._wait(pause)
            pause = min(1.5 * pause, _SLOWEST_LOOK_SECONDS)

    async def _wait(self, seconds: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self._stopping.wait()
