"""The snapshot in force, and those that turns still hold."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from agent_runtime.components.snapshot import Snapshot
from agent_runtime.tools.source import Source


class LiveSnapshot:
    """`current` is for whoever begins something; a turn holds what was current when it began.

    `close` is called for each connection that neither the current snapshot nor any that is held has any more.
    """

    def __init__(self, first: Snapshot, close: Callable[[Source], None]) -> None:
        self._current = first
        self._close = close
        self._holders: Counter[Snapshot] = Counter()

    @property
    def current(self) -> Snapshot:
        return self._current

    @property
    def held(self) -> int:
        """How many snapshots are in use by turns."""
        return len(self._holders)

    @contextmanager
    def hold(self) -> Iterator[Snapshot]:
        snapshot = self._current
        self._holders[snapshot] += 1
        try:
            yield snapshot
        finally:
            self._holders[snapshot] -= 1
            if not self._holders[snapshot]:
                del self._holders[snapshot]
                self._leave(snapshot)

    def swap(self, snapshot: Snapshot) -> None:
        """Puts the snapshot in force, for everything that begins from now on."""
        previous, self._current = self._current, snapshot
        self._leave(previous)

    def _leave(self, snapshot: Snapshot) -> None:
        in_use = {source for kept in (self._current, *self._holders) for source in kept.sources}
        for source in snapshot.sources:
            if source not in in_use:
                self._close(source)
