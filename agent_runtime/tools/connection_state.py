"""How it stands with one source of tools: what `/status` shows, and when to try again."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

Status = Literal["connected", "unavailable", "connecting"]


@dataclass(frozen=True)
class Timing:
    """How often sources are looked after, and how long anything may take, in seconds."""

    ping_seconds: float = 5
    ping_timeout_seconds: float = 5
    list_seconds: float = 60
    card_seconds: float = 60
    open_timeout_seconds: float = 30
    call_timeout_seconds: float = 30
    ask_timeout_seconds: float = 120
    first_retry_seconds: float = 0.5
    longest_retry_seconds: float = 10
    settle_seconds: float = 1

    def retry_after(self, failures: int) -> float:
        """The pause after so many failures in a row: doubling, bounded, and never the same for all of us."""
        longest = min(self.longest_retry_seconds, self.first_retry_seconds * 2.0 ** min(failures - 1, 16))
        return longest * random.uniform(0.5, 1)  # noqa: S311 - jitter, not a secret


class ConnectionState:
    """One source's status, since when, and the last error, in words that may be shown."""

    def __init__(self) -> None:
        self.status: Status = "connecting"
        self.last_error: str | None = None
        self._since = datetime.now(UTC)

    def connected(self) -> None:
        self.last_error = None
        self._become("connected")

    def unavailable(self, error: str) -> None:
        self.last_error = error
        self._become("unavailable")

    def as_json(self, **known: Any) -> dict[str, Any]:
        """The state as `/status` shows it; what is `None` is left out."""
        state = {
            "connected": self.status == "connected",
            "status": self.status,
            **known,
            "last_error": self.last_error,
            "since": self._since.isoformat(timespec="seconds").replace("+00:00", "Z"),
        }
        return {key: value for key, value in state.items() if value is not None}

    def _become(self, status: Status) -> None:
        if status != self.status:
            self.status = status
            self._since = datetime.now(UTC)
