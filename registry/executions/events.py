"""What can happen in an execution: its events, and what a visit of a node comes to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Literal
from uuid import UUID

from groundwork.postgres.storable import storable
from registry.workflows.ir import Workflow

if TYPE_CHECKING:
    pass


WaitKind = Literal["approval", "event", "timer", "retry", "work", "child"]


@dataclass(frozen=True)
class Event:
    """Something that happened in an execution, in the words of JamJet's runtime: `node_completed` and the like."""

    type: str
    node_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class ExecutionRef:
    """The execution that a visit belongs to."""

    execution_id: UUID
    tenant_id: str
    workflow: Workflow


@dataclass(frozen=True)
class Completed:
    """The node is done. `patch` replaces keys of the state, `removed` are gone from it; `goto` is where the
    outcome sends the execution, the node's own ways notwithstanding; `usage` is for the event: `gen_ai_model`,
    `input_tokens`, `cost_usd` ..."""

    output: Any = None
    patch: Mapping[str, Any] = field(default_factory=dict)
    goto: str | None = None
    events: Sequence[Event] = ()
    usage: Mapping[str, Any] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()
    recorded: bool = False
    """Its event is written already, by whoever completed it from outside."""


@dataclass(frozen=True)
class Parked:
    """The node waits for something. Nothing of it stays in memory; it is visited again with `wake`."""

    kind: WaitKind
    detail: Mapping[str, Any] = field(default_factory=dict)
    correlation_key: str | None = None
    timeout: timedelta | None = None
    events: Sequence[Event] = ()


@dataclass(frozen=True)
class Failed:
    """The node could not be done. A `retryable` failure is tried again as the node's retry policy says, and not
    before `retry_after` seconds. `goto` is where to go on after the last attempt."""

    error: str
    retryable: bool = False
    kind: str = "error"
    """What the `retryable_on` of a policy names: `timeout`, `io_error`, `server_error`, `rate_limit`, `error`."""
    codes: Sequence[str] = ()
    """What whoever refused it calls the error; a policy that names one of them has it tried again."""
    retry_after: float | None = None
    goto: str | None = None
    events: Sequence[Event] = ()


@dataclass(frozen=True)
class LimitExceeded:
    """The execution ends here with the status `limit_exceeded`."""

    reason: str
    events: Sequence[Event] = ()


def cleaned(outcome: "Outcome") -> "Outcome":
    """The outcome as it can be stored, whatever has come from outside."""
    if isinstance(outcome, Completed):
        return replace(
            outcome, output=storable(outcome.output), patch=storable(outcome.patch), usage=storable(outcome.usage)
        )
    if isinstance(outcome, Failed):
        return replace(outcome, error=storable(outcome.error)[:LONGEST_ERROR])
    return outcome


LONGEST_ERROR = 4000
"""Characters of an error that are kept."""


Outcome = Completed | Parked | Failed | LimitExceeded
