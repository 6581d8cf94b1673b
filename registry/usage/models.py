"""What turns of agents and executions have used, as it is told, asked for and shown."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field
from typing_extensions import TypedDict

from registry.checks import Body, Limit, Query

GroupBy = Literal["agent", "day", "workflow"]

DEFAULT_DAYS = 30
"""How far back the figures go when nobody says since when."""

MOST_DAYS = 40
"""Of how many days a heartbeat may tell."""


def _check_day(text: str) -> str:
    date.fromisoformat(text)
    return text


Day = Annotated[
    str,
    Field(pattern=r"^[0-9]{4}-[0-9]{2}-[0-9]{2}$", description="A day of UTC, such as 2026-12-01."),
    AfterValidator(_check_day),
]
Count = Annotated[int, Field(ge=0, le=10**15)]


class DayOfUsage(Body):
    """What the turns of an agent that began on a day have used so far, in all of its processes."""

    day: Day
    turns: Count = 0
    failed: Count = 0
    model_calls: Count = 0
    tool_calls: Count = 0
    input_tokens: Count = 0
    cached_tokens: Count = 0
    output_tokens: Count = 0
    cost: Annotated[float, Field(ge=0, le=1e15, allow_inf_nan=False)] | None = None


class UsageQuery(Query):
    by: GroupBy = "agent"
    since: Day | None = None
    until: Annotated[Day | None, Field(description="This day is not included.")] = None
    limit: Limit = 50


class AgentUsage(TypedDict):
    """What an agent has used so far."""

    turns: int
    failed: int
    model_calls: int
    tool_calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: Annotated[float | None, Field(description="null where no price is known.")]


class UsageAnswer(AgentUsage):
    executions: int
    executions_failed: int
    execution_tokens: int
    execution_cost: float
    execution_seconds: Annotated[float, Field(description="From start to end, of those that have ended.")]


class UsageOfAnswer(UsageAnswer):
    key: str


class UsageByAnswer(TypedDict):
    by: GroupBy
    since: str
    until: str | None
    total: UsageAnswer
    usage: list[UsageOfAnswer]


@dataclass(frozen=True)
class Usage:
    """What agents' turns have used, and what executions have, apart: an agent that an execution asks counts what
    that costs as its own. `key` is the agent, day or workflow; the sum of all has none."""

    key: str | None
    turns: int
    failed: int
    model_calls: int
    tool_calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: float | None
    executions: int
    executions_failed: int
    execution_tokens: int
    execution_cost: float
    execution_seconds: float


def describe_usage(by: GroupBy, since: str, until: str | None, found: Sequence[Usage]) -> dict[str, Any]:
    """Return the answer: the sum of all, and the groups."""
    total, groups = found[0], found[1:]
    told = {name: value for name, value in asdict(total).items() if name != "key"}
    return {"by": by, "since": since, "until": until, "total": told, "usage": [asdict(group) for group in groups]}
