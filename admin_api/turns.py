"""The agent's turns: what became of each, why one failed, and what all of them have used."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter
from pydantic import BeforeValidator, Field
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from admin_api.deps import Agent
from admin_api.envelope import answer_of, ok
from admin_api.openapi import THREAD_ID, failures, parameters
from admin_api.parameters import DECIMAL, STRICT, NoQuery, query_of
from admin_api.routes import AdminRoute
from agent_runtime.errors import InvalidValue, TurnNotFound
from agent_runtime.threads.ids import is_thread_id
from agent_runtime.turn_records.describe import describe_turn, describe_usage, read_time
from agent_runtime.turn_records.models import GroupBy, Position, RecordFilter, TurnState

router = APIRouter(prefix="/api/v1", route_class=AdminRoute, tags=["turns"])

DEFAULT_LIMIT = 100

_CURSOR = re.compile(r"^\d{1,17}-\d{1,18}$")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TIME = "a date or a time in ISO 8601, such as 2026-12-01 or 2026-12-01T08:00:00Z"


def _time(value: object) -> object:
    """A time as it stands in a query string."""
    if isinstance(value, str) and len(value) <= 40:
        with suppress(ValueError):
            return read_time(value)
    return value


Limit = Annotated[int, Field(ge=1, le=1000, description="an integer from 1 to 1000"), DECIMAL]
Time = Annotated[datetime, Field(description=_TIME), BeforeValidator(_time)]


class UsageQuery(TypedDict, total=False):
    __pydantic_config__ = STRICT  # type: ignore[misc]  # how pydantic configures a TypedDict

    by: Annotated[GroupBy, Field(description="day, model, caller or thread")]
    since: Time
    until: Time
    limit: Limit


class TurnsQuery(TypedDict, total=False):
    __pydantic_config__ = STRICT  # type: ignore[misc]  # how pydantic configures a TypedDict

    state: Annotated[
        TurnState,
        Field(description="queued, running, completed, replied, input_required, rejected, failed or cancelled"),
    ]
    caller: Annotated[str, Field(max_length=255, pattern=r"^[^\x00]*$", description="the name of a caller")]
    thread_id: Annotated[str, Field(max_length=255, pattern=r"^[^\x00]*$", description="the id of a thread")]
    since: Time
    until: Time
    limit: Limit
    cursor: Annotated[str, Field(description="the next_cursor of the page before", pattern=_CURSOR.pattern)]


class FailureData(TypedDict):
    error: Annotated[str, Field(description="The class of the error; empty when there was none to name.")]
    message: str
    at: Annotated[str, Field(description="The last line of the project's own code in it.")]
    request_id: str | None


class TurnData(TypedDict):
    task_id: str
    thread_id: str
    caller: str
    state: TurnState
    accepted_at: str
    ended_at: str | None
    duration_ms: int | None
    model: str
    model_calls: int
    tool_calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: float | None
    failure: FailureData | None


class TurnsData(TypedDict):
    turns: list[TurnData]
    next_cursor: str | None


class TurnOfTaskData(TurnData):
    earlier: Annotated[list[TurnData], Field(description="The task's turns before this one, the latest first.")]


class UsageData(TypedDict):
    turns: int
    failed: int
    model_calls: int
    tool_calls: int
    input_tokens: int
    cached_tokens: int
    output_tokens: int
    cost: float | None


class UsageOfData(UsageData):
    key: str


class UsageByData(TypedDict):
    by: GroupBy
    total: UsageData
    usage: list[UsageOfData]


@router.get(
    "/turns",
    response_model=answer_of(TurnsData),
    responses=failures(),
    openapi_extra=parameters(query=TurnsQuery),
)
async def list_turns(agent: Agent, query: Annotated[TurnsQuery, query_of(TurnsQuery)]) -> Response:
    """The agent's turns, the latest first: those that wait or run, and those that have ended, as long as
    TURN_HISTORY_DAYS keeps them."""
    wanted = RecordFilter(
        query.get("state"), query.get("caller"), query.get("thread_id"), query.get("since"), query.get("until")
    )
    after = _position(query["cursor"]) if "cursor" in query else None
    page, following = await agent.turn_records.list_turns(wanted, query.get("limit", DEFAULT_LIMIT), after)
    return ok(
        {"turns": [describe_turn(record) for record in page], "next_cursor": following and _cursor(following)}
    )


@router.get(
    "/turns/{task_id}",
    response_model=answer_of(TurnOfTaskData),
    responses=failures(TurnNotFound),
    openapi_extra=parameters({**THREAD_ID, "name": "task_id"}),
)
async def get_turn(agent: Agent, request: Request, _: NoQuery) -> Response:
    """The last turn of a task, and those before it: one for its message, one for each answer to a question."""
    task_id = request.path_params["task_id"]
    if not is_thread_id(task_id):
        raise InvalidValue("task_id", "task_id must be 1 to 255 characters, none of them a control character")
    last, *earlier = await agent.turn_records.get_turns_of_task(task_id)
    return ok({**describe_turn(last), "earlier": [describe_turn(record) for record in earlier]})


@router.get(
    "/usage",
    response_model=answer_of(UsageByData),
    responses=failures(),
    openapi_extra=parameters(query=UsageQuery),
)
async def get_usage(agent: Agent, query: Annotated[UsageQuery, query_of(UsageQuery)]) -> Response:
    """What turns that have ended have used, by the day of their acceptance (by default), the model, the caller or
    the thread: the last days, or whoever has used most."""
    by: GroupBy = query.get("by", "day")
    wanted = RecordFilter(since=query.get("since"), until=query.get("until"))
    total, groups = await agent.turn_records.sum_usage(by, wanted, query.get("limit", DEFAULT_LIMIT))
    return ok({"by": by, "total": describe_usage(total), "usage": [describe_usage(one) for one in groups]})


def _cursor(position: Position) -> str:
    return f"{(position.accepted_at - _EPOCH) // timedelta(microseconds=1)}-{position.turn_id}"


def _position(cursor: str) -> Position:
    microseconds, turn_id = map(int, cursor.split("-"))
    try:
        return Position(_EPOCH + timedelta(microseconds=microseconds), turn_id)
    except OverflowError:
        raise InvalidValue("cursor", "cursor must be the next_cursor of the page before") from None
