"""The rows of the table at the end: what was to be reached, and what was."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Goal:
    """A bound, and which side of it is the good one."""

    side: Literal["≤", "≥"]
    bound: float
    unit: str = ""

    def is_met_by(self, value: float) -> bool:
        return value <= self.bound if self.side == "≤" else value >= self.bound

    def __str__(self) -> str:
        return f"{self.side} {show(self.bound, self.unit)}"


@dataclass(frozen=True)
class Row:
    """One line of the table. `values` has one figure per round; what counts is their median."""

    what: str
    goal: Goal
    values: Sequence[float]

    @property
    def measured(self) -> float:
        return statistics.median(self.values)

    @property
    def met(self) -> bool:
        return self.goal.is_met_by(self.measured)

    def cells(self) -> list[str]:
        unit = self.goal.unit
        spread = f"{show(min(self.values), unit)} to {show(max(self.values), unit)}"
        return [
            self.what,
            str(self.goal),
            show(self.measured, unit),
            spread if len(self.values) > 1 else "measured once",
            "met" if self.met else "**not met**",
        ]


HEADINGS = ["what", "goal", "measured", "spread", "met or not"]


def at_least(bound: float, unit: str = "") -> Goal:
    return Goal("≥", bound, unit)


def at_most(bound: float, unit: str = "") -> Goal:
    return Goal("≤", bound, unit)


def show(value: float, unit: str = "") -> str:
    """A figure as a person reads it; `%` takes a fraction."""
    if unit == "%":
        return f"{value * 100:.0f} %"
    digits = 0 if abs(value) >= 100 else 1 if abs(value) >= 20 else 2
    return f"{value:,.{digits}f}{f' {unit}' if unit else ''}"


def markdown(rows: Iterable[Row]) -> str:
    lines = [HEADINGS, ["---"] * len(HEADINGS), *(row.cells() for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
