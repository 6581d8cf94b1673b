"""Executions as the engine and the routes hand them on."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID, uuid4

from registry.workflows.ir import Workflow

Status = Literal["pending", "running", "paused", "completed", "failed", "cancelled", "limit_exceeded"]

TERMINAL: frozenset[Status] = frozenset({"completed", "failed", "cancelled", "limit_exceeded"})

_ID = re.compile(r"(?:exec_)?[0-9a-f]{32}|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)


@dataclass(frozen=True)
class TakenUp:
    """An execution that this worker has taken up, as its predecessor left it. `fence` is this worker's own;
    `lost_workers` have ended while they ran it, since its last step."""

    execution_id: UUID
    tenant_id: str
    revision_id: int
    workflow_id: str
    workflow_version: str
    fence: int
    state: dict[str, Any]
    initial_input: dict[str, Any]
    previous_driver: str | None
    previous_status: Status
    cost_usd: float
    tokens_used: int
    overdue: bool | None
    parent_execution_id: UUID | None = None
    lost_workers: int = 0
    steps_executed: int = 0
    bytes_written: int = 0


@dataclass(frozen=True)
class Visits:
    """How often a node was scheduled, and how often it was started and failed since the last time."""

    rounds: int
    starts: int
    failures: int


@dataclass(frozen=True)
class Signal:
    """What a node has waited for and now has."""

    signal_id: int
    node_id: str
    payload: dict[str, Any]


@dataclass(frozen=True)
class Wait:
    """What a node waits for."""

    wait_id: UUID
    execution_id: UUID
    node_id: str
    kind: str
    correlation_key: str | None
    due_at: datetime | None
    sequence: int
    detail: dict[str, Any]


@dataclass(frozen=True)
class StoredEvent:
    """Something that happened, as it is stored; `type` and `data` are in the words of JamJet's runtime."""

    execution_id: UUID
    sequence: int
    type: str
    node_id: str | None
    data: dict[str, Any]
    created_at: datetime


@dataclass(frozen=True)
class ListedExecution:
    """An execution without what may be large: what it was given, and what it has made of it."""

    execution_id: UUID
    tenant_id: str
    position: int
    revision_id: int
    workflow_id: str
    workflow_version: str
    status: Status
    labels: dict[str, str]
    error: str | None
    steps_executed: int
    cost_usd: float
    tokens_used: int
    parent_execution_id: UUID | None
    parent_node_id: str | None
    created_at: datetime
    started_at: datetime | None
    updated_at: datetime
    completed_at: datetime | None


@dataclass(frozen=True)
class ExecutionRow(ListedExecution):
    """An execution as it is stored."""

    initial_input: dict[str, Any]
    state: dict[str, Any]


@dataclass(frozen=True)
class Standing:
    """Where an execution stands in its workflow: what its nodes have come to, what they wait for, and whom it has
    begun. `nodes` has a state for each node that was reached: that of JamJet's last event of it, or `waiting`."""

    workflow: Workflow
    nodes: Mapping[str, str]
    waits: Sequence[Wait]
    children: Sequence[ListedExecution]


@dataclass(frozen=True)
class Progress:
    """How far an execution has come; `last_sequence` is the number of its latest event."""

    status: Status
    last_sequence: int

    @property
    def has_ended(self) -> bool:
        return self.status in TERMINAL


@dataclass(frozen=True)
class Finished:
    """An execution that has just come to its end."""

    execution_id: UUID
    tenant_id: str
    state: dict[str, Any]
    parent_execution_id: UUID | None
    parent_node_id: str | None


def new_execution_id() -> UUID:
    return uuid4()


def show_execution_id(execution_id: UUID) -> str:
    """`exec_` and 32 hexadecimal digits, as every answer has it."""
    return f"exec_{execution_id.hex}"


def read_execution_id(text: str) -> UUID | None:
    """The id, written as `exec_` and 32 digits, as 32 digits, or with hyphens; None when it is none of these."""
    return UUID(text.removeprefix("exec_")) if _ID.fullmatch(text) else None
