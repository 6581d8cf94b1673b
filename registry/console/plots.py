"""Figures drawn as bars. Pure; the page has the same as a table."""

from collections.abc import Sequence
from dataclasses import dataclass

_HEIGHT, _BAR, _GAP, _MARGIN = 90, 14, 4, 6


@dataclass(frozen=True)
class Bar:
    """One bar, `bad` of whose height stands for what failed; both from the bottom."""

    title: str
    x: int
    height: float
    bad: float


@dataclass(frozen=True)
class Plot:
    width: int
    height: int
    bar: int
    highest: float
    bars: list[Bar]


def draw_bars(values: Sequence[tuple[str, float, float]]) -> Plot | None:
    """Return bars for the values, each with its name and how much of it is bad; None where all of them are 0."""
    highest = max((value for _, value, _ in values), default=0)
    if not highest:
        return None
    bars = [
        Bar(
            name,
            _MARGIN + place * (_BAR + _GAP),
            _HEIGHT * value / highest,
            _HEIGHT * min(bad, value) / highest,
        )
        for place, (name, value, bad) in enumerate(values)
    ]
    return Plot(2 * _MARGIN + len(values) * (_BAR + _GAP), _HEIGHT + 2 * _MARGIN, _BAR, highest, bars)
