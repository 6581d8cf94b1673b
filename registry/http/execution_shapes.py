"""Executions and approvals as they are asked for and shown.

An execution has the names of JamJet's documentation and those of its runtime, for clients of either.
"""

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from registry.checks import Body, Limit, Offset, Query
from registry.executions.models import (
    ExecutionRow,
    ListedExecution,
    Status,
    StoredEvent,
    Wait,
    show_execution_id,
)
from registry.executions.service import Approvals
from registry.times import rfc3339

_Name = Annotated[str, Field(min_length=1, max_length=255)]


Decision = Literal["approved", "rejected"]


class StartBody(Body):
    """Without a version it is the latest that is registered."""

    workflow_id: _Name
    workflow_version: _Name | None = None
    input: dict[str, Any] | None = None


class ExecutionsQuery(Query):
    status: Status | None = None
    limit: Limit = 50
    offset: Offset = 0


class ApproveBody(Body):
    """`node_id` is needed when several nodes wait. `state_patch` is merged into the state before it goes on."""

    decision: Decision
    node_id: Annotated[str, Field(max_length=255)] | None = None
    user_id: Annotated[str, Field(max_length=255)] | None = None
    comment: Annotated[str, Field(max_length=10_000)] | None = None
    state_patch: dict[str, Any] | None = None


class ExternalEventBody(Body):
    correlation_key: _Name
    payload: Any = None


class StartedAnswer(TypedDict):
    execution_id: str


class ShownExecution(TypedDict):
    execution_id: str
    id: str
    workflow_id: str
    workflow_version: str
    status: Status
    steps_executed: Annotated[int, Field(description="How many nodes were completed.")]
    created_at: str
    started_at: str
    updated_at: str
    completed_at: str | None
    duration_ms: Annotated[int | None, Field(description="From start to end; null while it has not ended.")]
    error: str | None
    detail: str | None
    labels: dict[str, str]
    segment_number: int
    cost_usd: float
    tokens_used: int
    parent_execution_id: str | None
    parent_node_id: str | None


class ExecutionAnswer(ShownExecution):
    state: dict[str, Any]
    current_state: dict[str, Any]
    initial_input: dict[str, Any]


class ExecutionsAnswer(TypedDict):
    executions: list[ShownExecution]


class CancelledAnswer(TypedDict):
    execution_id: str
    status: Status


class ApprovedAnswer(TypedDict):
    execution_id: str
    node_id: str
    accepted: bool


class AcceptedAnswer(TypedDict):
    execution_id: str
    accepted: bool


class PendingApproval(TypedDict):
    execution_id: Annotated[str, Field(description="The execution itself, or one that it has begun.")]
    node_id: str
    tool_name: str | None
    approver: str | None
    context: dict[str, Any]
    sequence: int
    due_at: str | None


class DecidedApproval(TypedDict):
    execution_id: str
    node_id: str | None
    status: str
    user_id: str | None
    comment: str | None
    sequence: int
    decided_at: str


class ApprovalsAnswer(TypedDict):
    pending: list[PendingApproval]
    decided: list[DecidedApproval]


def show_execution(row: ExecutionRow) -> ExecutionAnswer:
    return {
        **show_listed(row),
        "state": row.state,
        "current_state": row.state,
        "initial_input": row.initial_input,
    }


def show_listed(row: ListedExecution) -> ShownExecution:
    shown = show_execution_id(row.execution_id)
    parent = row.parent_execution_id
    created_at = rfc3339(row.created_at)
    return {
        "execution_id": shown,
        "id": shown,
        "workflow_id": row.workflow_id,
        "workflow_version": row.workflow_version,
        "status": row.status,
        "steps_executed": row.steps_executed,
        "created_at": created_at,
        "started_at": created_at,  # JamJet's runtime calls it so
        "updated_at": rfc3339(row.updated_at),
        "completed_at": rfc3339(row.completed_at),
        "duration_ms": _duration_ms(row),
        "error": row.error,
        "detail": row.error,
        "labels": row.labels,
        "segment_number": 0,
        "cost_usd": row.cost_usd,
        "tokens_used": row.tokens_used,
        "parent_execution_id": show_execution_id(parent) if parent else None,
        "parent_node_id": row.parent_node_id,
    }


def _duration_ms(row: ListedExecution) -> int | None:
    if row.completed_at is None:
        return None
    return round((row.completed_at - (row.started_at or row.created_at)).total_seconds() * 1000)


def show_approvals(approvals: Approvals) -> ApprovalsAnswer:
    return {
        "pending": [_show_pending(wait) for wait in approvals.pending],
        "decided": [_show_decided(event) for event in approvals.decided],
    }


def _show_pending(wait: Wait) -> PendingApproval:
    return {
        "execution_id": show_execution_id(wait.execution_id),
        "node_id": wait.node_id,
        "tool_name": wait.detail.get("tool_name"),
        "approver": wait.detail.get("approver"),
        "context": wait.detail.get("context") or {},
        "sequence": wait.sequence,
        "due_at": rfc3339(wait.due_at),
    }


def _show_decided(event: StoredEvent) -> DecidedApproval:
    return {
        "execution_id": show_execution_id(event.execution_id),
        "node_id": event.node_id,
        "status": event.data["decision"],
        "user_id": event.data.get("user_id"),
        "comment": event.data.get("comment"),
        "sequence": event.sequence,
        "decided_at": rfc3339(event.created_at),
    }
