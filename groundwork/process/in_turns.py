"""An order in which nobody waits for all that somebody else has."""

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from typing import TypeVar

Item = TypeVar("Item")


def in_turns(items: Iterable[Item], owner_of: Callable[[Item], Hashable]) -> list[Item]:
    """Return the first item of each owner, then the second of each, and so on; the owners in the order in which
    they come first."""
    seen: Counter[Hashable] = Counter()
    rounds: list[tuple[int, Item]] = []
    for item in items:
        owner = owner_of(item)
        rounds.append((seen[owner], item))
        seen[owner] += 1
    return [item for _, item in sorted(rounds, key=lambda placed: placed[0])]
