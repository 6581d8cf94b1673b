"""How steady the machine is while it is measured: the same piece of work, timed again and again."""

import statistics
import time
from dataclasses import dataclass, field

_STEPS = 400_000

WORRYING = 0.15
"""Figures taken on a machine that varies by more than this are worth little by themselves; ratios hold longer."""


@dataclass
class Noise:
    """How long the fixed loop took each time."""

    seconds: list[float] = field(default_factory=list)

    def listen(self) -> None:
        started = time.perf_counter()
        total = 0
        for step in range(_STEPS):
            total += step
        self.seconds.append(time.perf_counter() - started)

    @property
    def spread(self) -> float:
        """How far the middle four fifths of the times lie apart, measured by their median."""
        if len(self.seconds) < 3:
            return 0.0
        tenths = statistics.quantiles(self.seconds, n=10)
        return (tenths[-1] - tenths[0]) / statistics.median(self.seconds)

    def __str__(self) -> str:
        warning = ", which is a lot: something else works on this machine" if self.spread > WORRYING else ""
        return f"machine noise: the same loop took {self.spread:.0%} more or less from time to time{warning}"
