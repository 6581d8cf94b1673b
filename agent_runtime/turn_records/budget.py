"""The budgets of a day: what was used on it, and who may begin another turn."""

import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

from agent_runtime.errors import BudgetSpent
from agent_runtime.turn_records import store
from agent_runtime.turn_records.prices import BudgetLimits, DayLimits
from agent_runtime.turn_records.store import Spent
from groundwork.postgres.pool import Pool, connection
from groundwork.process.background import running
from groundwork.process.repeating import repeat

logger = logging.getLogger(__name__)

LOOK_SECONDS = 5.0
"""How often the sums are read anew: so long another replica's turns may go unnoticed."""

_NOTHING = Spent(0, Decimal(0))


class Budget:
    """What an agent's turns have used since the day began, in all of its processes.

    A turn counts when it has ended, so those that run at the moment may go beyond a limit together.
    """

    def __init__(self, pool: Pool, agent_id: str, limits: BudgetLimits) -> None:
        self._pool = pool
        self._agent_id = agent_id
        self._limits = limits
        self._spent: dict[str, Spent] = {}
        self._day_ends_at = time.monotonic()

    def check(self, caller: str) -> None:
        """Raises `BudgetSpent` when the agent, or the caller, has used up what it may in a day."""
        if not self._limits:
            return
        total = _sum(list(self._spent.values()))
        self._refuse_beyond(self._limits.agent, total, "the agent's budget")
        self._refuse_beyond(self._limits.caller, self._spent.get(caller, _NOTHING), "your budget")

    def spend(self, caller: str, tokens: int, cost: Decimal | None) -> None:
        """A turn of the caller has ended here, and has used so much."""
        if self._limits:
            self._spent[caller] = _sum([self._spent.get(caller, _NOTHING), Spent(tokens, cost or Decimal(0))])

    async def look(self) -> None:
        """Read what was used today. Raises `DatabaseUnavailable`."""
        async with connection(self._pool) as conn:
            spent = await store.sum_of_today(conn, self._agent_id)
            seconds = await store.seconds_left_today(conn)
        self._spent, self._day_ends_at = dict(spent), time.monotonic() + seconds

    def _refuse_beyond(self, limits: DayLimits, spent: Spent, whose: str) -> None:
        seconds = max(1, round(self._day_ends_at - time.monotonic()))
        if limits.tokens is not None and spent.tokens >= limits.tokens:
            raise BudgetSpent(f"{whose} of {limits.tokens} tokens a day is used up", seconds)
        if limits.cost is not None and spent.cost >= limits.cost:
            raise BudgetSpent(f"{whose} of {limits.cost} a day is used up", seconds)


@asynccontextmanager
async def open_budget(pool: Pool, agent_id: str, limits: BudgetLimits) -> AsyncIterator[Budget]:
    """Open the budget, with what was used already. Raises `DatabaseUnavailable`."""
    budget = Budget(pool, agent_id, limits)
    if not limits:
        yield budget
        return
    await budget.look()
    async with running("budget", lambda: repeat(budget.look, LOOK_SECONDS, "reading the budget")):
        yield budget


def _sum(spent: list[Spent]) -> Spent:
    return Spent(sum(one.tokens for one in spent), sum((one.cost for one in spent), Decimal(0)))
