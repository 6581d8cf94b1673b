"""The agent's own health, known at any moment without waiting for a check."""

import asyncio
from collections.abc import Awaitable, Callable

from groundwork.postgres.pool import DatabaseUnavailable

_CHECK_SECONDS = 3.0
_LONGEST_PERIOD_SECONDS = 10.0


class HealthWatch:
    """Checks now and then while `watch` runs. `failing` is why the agent cannot work, or `None` when it can;
    whoever is in `on_change` is called when it becomes something else."""

    def __init__(self, check: Callable[[], Awaitable[None]], period_seconds: float) -> None:
        self.failing: str | None = None
        self.on_change: list[Callable[[], None]] = []
        self._check = check
        self._period = min(period_seconds, _LONGEST_PERIOD_SECONDS)

    async def watch(self) -> None:
        while True:
            check = asyncio.create_task(self._reason())
            try:
                done, _ = await asyncio.wait({check}, timeout=_CHECK_SECONDS)
                if not done:
                    self._become(f"the database did not answer within {_CHECK_SECONDS:g} seconds")
                # Not cut short: to cancel a statement, the driver needs the server that does not answer.
                self._become(await check)
            finally:
                check.cancel()
            await asyncio.sleep(self._period)

    async def _reason(self) -> str | None:
        try:
            await self._check()
        except DatabaseUnavailable as error:
            return str(error)
        return None

    def _become(self, failing: str | None) -> None:
        if failing != self.failing:
            self.failing = failing
            for listener in self.on_change:
                listener()
