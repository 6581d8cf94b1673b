"""Which tables hold something of a thread, and what was removed from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

ERASED_TABLES = (
    "agent_turns",
    "a2a_push_configs",
    "a2a_task_events",
    "a2a_tasks",
    "persistent_memory",
    "checkpoint_writes",
    "checkpoint_blobs",
    "checkpoints",
    "agent_threads",
)
"""In the order in which they are emptied: turns first, since a deleted turn can write no more, and the thread's
own row last, since a thread stays listed until everything else of it is gone."""

STORE = "store"
"""What graphs keep beyond a thread: it goes with everything of an agent, and is not of any thread."""

REPORTED_TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes", "persistent_memory")
"""The ones whose counts the admin API promises."""


@dataclass(frozen=True)
class Erasure:
    """How many rows a deletion removed, by table."""

    rows: Mapping[str, int] = field(default_factory=dict)

    @property
    def deleted(self) -> dict[str, int]:
        """The counts of the tables that callers are told about."""
        return {table: self.rows.get(table, 0) for table in REPORTED_TABLES}

    @property
    def also_deleted(self) -> dict[str, int]:
        """The counts of every other table."""
        tables = [table for table in ERASED_TABLES if table not in REPORTED_TABLES]
        kept = {STORE: self.rows[STORE]} if STORE in self.rows else {}
        return {table: self.rows.get(table, 0) for table in tables} | kept

    def __add__(self, other: "Erasure") -> "Erasure":
        tables = self.rows.keys() | other.rows.keys()
        return Erasure({table: self.rows.get(table, 0) + other.rows.get(table, 0) for table in tables})
