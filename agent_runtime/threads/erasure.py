"""Which tables hold something of a thread, and what was removed from them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

ERASED_TABLES = (
    "agent_turns",
    "agent_turn_records",
    "agent_run_frames",
    "agent_runs",
    "agent_message_keys",
    "agent_peer_tasks",
    "a2a_push_configs",
    "a2a_task_events",
    "a2a_tasks",
    "persistent_memory",
    "agent_thread_metadata",
    "checkpoint_writes",
    "checkpoint_blobs",
    "checkpoints",
    "agent_threads",
)
"""In the order in which they are emptied: turns first, since a deleted turn can write no more, and the thread's
own row last, since a thread stays listed until everything else of it is gone."""

STORE = "store"
"""What graphs keep beyond a thread: it goes with everything of an agent, or of a caller, and is of no thread."""

REPORTED_TABLES = ("checkpoints", "checkpoint_blobs", "checkpoint_writes", "persistent_memory")
"""The ones whose counts the admin API promises."""


@dataclass(frozen=True)
class Erasure:
    """How many rows a deletion removed, or a dry run found, by table."""

    rows: Mapping[str, int] = field(default_factory=dict)
    peers: frozenset[str] = frozenset()
    """The agents that were asked in the threads: what was said to them is theirs to erase."""

    @property
    def threads(self) -> int:
        """How many threads it was."""
        return self.rows.get("agent_threads", 0)

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
        rows = {table: self.rows.get(table, 0) + other.rows.get(table, 0) for table in tables}
        return Erasure(rows, self.peers | other.peers)
