"""What tokens cost, and how much may be used in a day."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

_MILLION = Decimal(1_000_000)


@dataclass(frozen=True)
class Price:
    """What a million tokens of a model cost, in whatever currency the author counts in. `cached_input` is for
    input that the provider had cached."""

    input: Decimal
    output: Decimal
    cached_input: Decimal


@dataclass(frozen=True)
class Prices:
    """Prices by model: under the name that the provider knows, or `provider:name`."""

    by_model: Mapping[str, Price] = field(default_factory=dict)

    def cost_of(self, model: str, input_tokens: int, cached_tokens: int, output_tokens: int) -> Decimal | None:
        """Return what the tokens cost; `input_tokens` hold the cached ones, too. `None` without a price."""
        price = self.by_model.get(model)
        if price is None:
            return None
        uncached = max(0, input_tokens - cached_tokens)
        cost = uncached * price.input + cached_tokens * price.cached_input + output_tokens * price.output
        return cost / _MILLION


@dataclass(frozen=True)
class DayLimits:
    """How many tokens, and what they cost, in a day of UTC; `None` is no limit."""

    tokens: int | None = None
    cost: Decimal | None = None

    def __bool__(self) -> bool:
        return self.tokens is not None or self.cost is not None


@dataclass(frozen=True)
class BudgetLimits:
    """The limits of an agent in a day, and of each of its callers."""

    agent: DayLimits = field(default_factory=DayLimits)
    caller: DayLimits = field(default_factory=DayLimits)

    def __bool__(self) -> bool:
        return bool(self.agent) or bool(self.caller)
