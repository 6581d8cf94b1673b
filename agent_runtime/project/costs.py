"""What `agent.toml` says of money: `[prices]` and `[budget]`."""

from decimal import Decimal

from agent_runtime.project.toml_tables import Table
from agent_runtime.turn_records.prices import BudgetLimits, DayLimits, Price, Prices

_DEAREST = 1_000_000.0
_MOST = 10**15


def read_prices(table: Table) -> Prices:
    """`[prices."gpt-4.1-mini"]`: what a million tokens of each model cost. Raises `BadProject`."""
    found = {}
    for model, prices in table.each_table().items():
        name = model.partition(":")[2] or model
        if name in found:
            table.refuse(model, "is priced twice; once is enough")
        found[name] = _price(prices)
    return Prices(found)


def read_budget(table: Table, prices: Prices) -> BudgetLimits:
    """`[budget]` for the agent, and `[budget.per_caller]` for each caller. Raises `BadProject`."""
    return BudgetLimits(caller=_limits(table.table("per_caller"), prices), agent=_limits(table, prices))


def _price(table: Table) -> Price:
    taken = {name: table.number(name, 0, _DEAREST) for name in ("input", "output", "cached_input")}
    for name in ("input", "output"):
        if taken[name] is None:
            table.refuse(name, "is missing; what a million tokens cost is required, such as 0.4")
    table.done()
    cached = taken["input"] if taken["cached_input"] is None else taken["cached_input"]
    return Price(_decimal(taken["input"]), _decimal(taken["output"]), _decimal(cached))


def _limits(table: Table, prices: Prices) -> DayLimits:
    tokens = table.integer("tokens_per_day", 1, _MOST)
    cost = table.number("cost_per_day", 0, float(_MOST))
    if cost is not None and not prices.by_model:
        table.refuse("cost_per_day", "needs [prices], which say what a million tokens of a model cost")
    table.done()
    return DayLimits(tokens, None if cost is None else _decimal(cost))


def _decimal(number: float | None) -> Decimal:
    """As it is written, not as it is in binary."""
    return Decimal(str(number))
