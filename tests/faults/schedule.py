"""Which fault comes when: the same for the same seed. Pure."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_MOST_AT_ONCE = 3


@dataclass(frozen=True)
class Planned:
    """A fault, so many seconds after its round has begun, with the dice of its own."""

    kind: str
    after: float
    seed: int


@dataclass(frozen=True)
class Round:
    number: int
    seed: int
    faults: tuple[Planned, ...]

    def __str__(self) -> str:
        return ", ".join(f"{fault.kind} at {fault.after:.1f}" for fault in self.faults)


def plan_rounds(seed: int, kinds: Sequence[str], seconds: float) -> Iterator[Round]:
    """Rounds without an end, each with one to three faults while its load runs. Every kind comes once before any
    comes again."""
    dice = random.Random(seed)
    bag = _draw_all(dice, kinds)
    number = 0
    while True:
        number += 1
        chosen = [next(bag) for _ in range(dice.randint(1, _MOST_AT_ONCE))]
        times = sorted(dice.uniform(0.1, 0.8) * seconds for _ in chosen)
        faults = (Planned(kind, after, dice.randrange(2**32)) for kind, after in zip(chosen, times, strict=True))
        yield Round(number, dice.randrange(2**32), tuple(faults))


def _draw_all(dice: random.Random, kinds: Sequence[str]) -> Iterator[str]:
    while True:
        yield from dice.sample(kinds, len(kinds))
