"""What is said of the size of an agent's database."""

from collections.abc import Sequence
from dataclasses import dataclass

from agent_runtime.threads.erasure import ERASED_TABLES, STORE

TABLES = (
    *ERASED_TABLES,
    STORE,
    "store_vectors",
    "store_migrations",
    "vector_migrations",
    "agent_owners",
    "agent_processes",
    "agent_components",
    "agent_settings",
    "agent_sweeps",
    "agent_sidecar_migrations",
    "checkpoint_migrations",
)
"""Every table of an agent's database, as far as it is there."""


@dataclass(frozen=True)
class TableSize:
    """A table with its indexes and everything else that is stored of it. `rows` is exact while it is small."""

    name: str
    rows: int
    bytes: int
    pages: int

    def bytes_of(self, rows: float) -> int:
        """Return how many bytes so many of its rows take, as they are on average."""
        return round(rows * self.bytes / self.rows) if self.rows else 0


@dataclass(frozen=True)
class ThreadSize:
    """What the rows of a thread take; their indexes are not counted."""

    thread_id: str
    bytes: int


@dataclass(frozen=True)
class StorageReport:
    """`sampled` tells that the tables are so large that threads were looked for in a part of them alone."""

    tables: Sequence[TableSize]
    largest_threads: Sequence[ThreadSize]
    sampled: bool

    @property
    def bytes(self) -> int:
        return sum(table.bytes for table in self.tables)


@dataclass(frozen=True)
class Retention:
    """What the settings say of how long things are kept; 0 is for ever, or all."""

    thread_ttl_days: float
    checkpoints: int
    turn_history_days: int
    idempotency_hours: int


@dataclass(frozen=True)
class TableForecast:
    """A table now, after a while at the rate of the last days, and what retention would remove of it now."""

    size: TableSize
    rows_per_day: float
    rows_then: int
    removable_rows: int

    @property
    def bytes_then(self) -> int:
        return self.size.bytes + self.size.bytes_of(self.rows_then - self.size.rows)

    @property
    def removable_bytes(self) -> int:
        return min(self.size.bytes, self.size.bytes_of(self.removable_rows))


@dataclass(frozen=True)
class Forecast:
    """`days_observed` is how long the rate was measured."""

    days: int
    days_observed: float
    tables: Sequence[TableForecast]
    retention: Retention
