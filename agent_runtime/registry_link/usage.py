"""What the agent's turns have used, for the registry to know."""

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from agent_runtime.turn_records.describe import describe_usage
from agent_runtime.turn_records.models import RecordFilter
from agent_runtime.turn_records.service import TurnRecords
from groundwork.postgres.pool import DatabaseUnavailable

logger = logging.getLogger(__name__)

FIRST_DAYS = 31
"""How far back a process looks when it begins: what happened while the registry was away is told then."""

_LATER_DAYS = 3
"""And from then on: a turn counts to the day on which it was accepted, and ends soon after."""

_REST = 50
"""A look that took long is followed by a pause so many times as long."""


class UsageWatch:
    """Sums up the days while `watch` runs; `news` is what the registry has not been told yet.

    The sums are those of all processes of the agent, so it does not matter which of them tells the registry.
    """

    def __init__(self, records: TurnRecords, period_seconds: float) -> None:
        self._records = records
        self._period = period_seconds
        self._days = FIRST_DAYS
        self._latest: dict[str, dict[str, Any]] = {}
        self._told: dict[str, dict[str, Any]] = {}

    async def watch(self) -> None:
        """The loop that reads the sums; it never ends."""
        failed = False
        while True:
            began = time.monotonic()
            try:
                await self._look()
                failed = False
            except DatabaseUnavailable as error:
                if not failed:
                    logger.warning("summing up usage failed, database unavailable: %s", error)
                failed = True
            await asyncio.sleep(max(self._period, _REST * (time.monotonic() - began)))

    def news(self) -> Sequence[dict[str, Any]]:
        """Return the sums of days that the registry does not know."""
        return [told for day, told in self._latest.items() if self._told.get(day) != told]

    def told(self, days: Sequence[dict[str, Any]]) -> None:
        """The registry has heard of these."""
        self._told |= {day["day"]: day for day in days}
        oldest = sorted(self._told)[:-FIRST_DAYS]
        for day in oldest:
            self._told.pop(day)
            self._latest.pop(day, None)

    def forgotten(self) -> None:
        """The registry does not know the agent any more, and is told all there is."""
        self._told = {}
        self._days = FIRST_DAYS

    async def _look(self) -> None:
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        wanted = RecordFilter(since=today - timedelta(days=self._days - 1))
        _, days = await self._records.sum_usage("day", wanted, FIRST_DAYS + 1)
        self._latest |= {str(day.key): _told(describe_usage(day)) for day in days}
        self._days = _LATER_DAYS


def _told(usage: dict[str, Any]) -> dict[str, Any]:
    return {"day": usage.pop("key"), **usage}
