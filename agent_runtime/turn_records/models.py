"""Records of turns, as they are written and as they are read."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any, Literal, cast, get_args

from agent_runtime.errors import InvalidValue

LiveState = Literal["queued", "running"]
EndState = Literal["completed", "replied", "input_required", "rejected", "failed", "cancelled"]
TurnState = Literal[LiveState, EndState]

TURN_STATES: tuple[str, ...] = (*get_args(LiveState), *get_args(EndState))

GroupBy = Literal["day", "model", "caller", "thread"]


def read_group(text: str) -> GroupBy:
    """Raises `InvalidValue`."""
    for by in get_args(GroupBy):
        if by == text:
            return cast("GroupBy", by)
    raise InvalidValue("by", f"by must be one of {', '.join(get_args(GroupBy))}")


@dataclass(frozen=True)
class Failure:
    """Why a turn failed: the error's class, its message, and the last line of the project's own code in it.
    `request_id` is that of the request that the turn began with."""

    error: str
    message: str
    at: str
    request_id: str | None = None


@dataclass(frozen=True)
class TurnRecord:
    """A turn as operators see it: one that waits or runs, or what is kept of one that has ended. `model` names the
    models that were called. `cost` is `None` where no price is known."""

    turn_id: int
    task_id: str
    thread_id: str
    caller: str
    state: TurnState
    accepted_at: datetime
    ended_at: datetime | None
    duration_ms: int | None
    model: str
    model_calls: int
    tool_calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: Decimal | None
    failure: dict[str, Any] | None


@dataclass(frozen=True)
class RecordFilter:
    """Which turns of an agent; `None` is no condition. The times are those of acceptance, `until` not included."""

    state: str | None = None
    caller: str | None = None
    thread_id: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Position:
    """A place in the listing, which runs from the latest turn to the first."""

    accepted_at: datetime
    turn_id: int


@dataclass(frozen=True)
class Usage:
    """What turns have used together. `key` is the day, model, caller or thread that they have in common; the sum
    of all has none. Under a model, `turns` are those that have called it."""

    key: str | None
    turns: int
    failed: int
    model_calls: int
    tool_calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: Decimal | None
