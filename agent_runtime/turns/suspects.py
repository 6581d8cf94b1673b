"""Turns one of which is likely to end the process that runs it."""

import time
from collections.abc import Collection, Iterator

from agent_runtime.turns.types import HeldTurn

SUSPECT_RUNS = 2
"""A turn that was running in so many processes when they died is suspect. Once is no sign: a process is killed for
all kinds of reasons, and everything that it ran goes on at once elsewhere."""

_ALONE_SECONDS = 30.0
"""How long the others wait for a suspect that neither ends nor ends the process."""


class Suspects:
    """Suspect turns that wait to be run one after the other: when the process dies then, it is plain of which, and
    those that have waited are not blamed for it. Those with the fewest runs come first, as innocents will end."""

    def __init__(self) -> None:
        self._waiting: dict[int, HeldTurn] = {}
        self._taken: int | None = None
        self._taken_at = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[int]:
        return iter(self._waiting)

    def __contains__(self, turn_id: object) -> bool:
        return turn_id in self._waiting

    def add(self, held: HeldTurn) -> None:
        self._waiting[held.turn.turn_id] = held

    def find(self, turn_id: int) -> HeldTurn | None:
        return self._waiting.get(turn_id)

    def pop(self, turn_id: int) -> HeldTurn | None:
        return self._waiting.pop(turn_id, None)

    def clear(self) -> None:
        self._waiting.clear()

    def take(self, running: Collection[int]) -> HeldTurn | None:
        """Return the one whose time has come, if any has, given the turns that run here."""
        now = time.monotonic()
        if not self._waiting or (self._taken in running and now - self._taken_at < _ALONE_SECONDS):
            return None
        held = min(self._waiting.values(), key=lambda held: (held.turn.runs, held.turn.turn_id))
        self._taken, self._taken_at = held.turn.turn_id, now
        return self._waiting.pop(self._taken)
