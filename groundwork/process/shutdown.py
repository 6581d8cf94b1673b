"""The time that a process told to stop gives to what it is doing."""

import time


class ShutdownPeriod:
    """One span for everything together, from when the process was told to stop."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._ends_at: float | None = None

    def begin(self) -> None:
        if self._ends_at is None:
            self._ends_at = time.monotonic() + self.seconds

    def left(self) -> float:
        """Seconds; the span begins with the first question at the latest."""
        self.begin()
        return max(0.0, (self._ends_at or 0.0) - time.monotonic())
