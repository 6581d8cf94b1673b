"""How much of a conversation the model sees, and what may change while the agent runs."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from agent_runtime.errors import InvalidValue

WINDOW_SIZE_RANGE = range(1, 10_001)
SUMMARIZE_THRESHOLD_RANGE = range(1, 100_001)


@dataclass(frozen=True)
class MemoryConfig:
    """The part of the memory settings that `PATCH /memory/config` may change."""

    summarize: bool = False
    window_size: int = 20
    summarize_threshold: int = 40

    def __post_init__(self) -> None:
        _check("window_size", self.window_size, WINDOW_SIZE_RANGE)
        _check("summarize_threshold", self.summarize_threshold, SUMMARIZE_THRESHOLD_RANGE)


class LiveMemoryConfig:
    """The configuration in force. Read it when it is needed, never keep a copy: that is what makes a
    change hold from the next model call on, in a running turn too."""

    def __init__(self, config: MemoryConfig) -> None:
        self._config = config

    @property
    def current(self) -> MemoryConfig:
        return self._config

    def change(self, **changes: bool | int) -> MemoryConfig:
        """Replaces the given fields together. Raises `InvalidValue`, and changes nothing, when one is bad."""
        self._config = self.check(**changes)
        return self._config

    def check(self, **changes: bool | int) -> MemoryConfig:
        """What the given changes would come to. Raises `InvalidValue` when one is bad."""
        return _changed(self._config, changes)

    def replace(self, base: MemoryConfig, **changes: bool | int) -> None:
        """Puts `base` with these changes in force. Raises as `change` does."""
        self._config = _changed(base, changes)


def _changed(config: MemoryConfig, changes: Mapping[str, bool | int]) -> MemoryConfig:
    return replace(config, **changes)  # type: ignore[arg-type]  # checked by __post_init__


def _check(field: str, value: int, accepted: range) -> None:
    if value not in accepted:
        raise InvalidValue(
            field, f"{field} must be an integer from {accepted.start} to {accepted.stop - 1}, not {value!r}"
        )
