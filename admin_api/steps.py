"""The steps of a thread: what each has changed, and the state after it."""

from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from admin_api.deps import OwnThreads, ThreadId
from admin_api.envelope import answer_of, ok
from admin_api.openapi import THREAD_ID, failures, parameters
from admin_api.parameters import DECIMAL, STRICT, NoQuery, query_of
from admin_api.routes import AdminRoute
from agent_runtime.errors import (
    AgentIdRequired,
    InvalidValue,
    MemoryDisabled,
    StepNotFound,
    ThreadNotFound,
    ThreadNotOurs,
    ThreadUnreadable,
)
from agent_runtime.threads.ids import is_thread_id
from agent_runtime.threads.steps import Step

router = APIRouter(prefix="/api/v1/memory/threads", route_class=AdminRoute, tags=["threads"])

DEFAULT_LIMIT = 20
_FAILURES = (MemoryDisabled, AgentIdRequired, ThreadNotFound, ThreadNotOurs, ThreadUnreadable)


class StepsQuery(TypedDict, total=False):
    __pydantic_config__ = STRICT  # type: ignore[misc]  # how pydantic configures a TypedDict

    limit: Annotated[int, Field(ge=1, le=100, description="an integer from 1 to 100"), DECIMAL]
    before: Annotated[
        str,
        Field(
            description="the next_before of the page after", min_length=1, max_length=255, pattern=r"^[^\x00]*$"
        ),
    ]


class ChangeData(TypedDict):
    channel: str
    value: Annotated[Any, Field(description="What was written; messages as in the conversation.")]


class StepData(TypedDict):
    checkpoint_id: str
    step: int | None
    source: Annotated[str, Field(description="input, loop, update or fork")]
    created_at: str
    turn_id: int | None
    nodes: Annotated[list[str], Field(description="Those that have run in it.")]
    changed: list[ChangeData]
    next: Annotated[list[str], Field(description="The nodes that come after it.")]
    asked: Annotated[list[Any], Field(description="What the nodes after it have asked of a person.")]
    error: str | None


class StepsData(TypedDict):
    thread_id: str
    steps: list[StepData]
    next_before: str | None


class StateData(TypedDict):
    thread_id: str
    checkpoint_id: str
    values: dict[str, Any]


@router.get(
    "/{thread_id}/steps",
    response_model=answer_of(StepsData),
    responses=failures(*_FAILURES),
    openapi_extra=parameters(THREAD_ID, query=StepsQuery),
)
async def list_thread_steps(
    own: OwnThreads, thread: ThreadId, page: Annotated[StepsQuery, query_of(StepsQuery)]
) -> Response:
    """The steps of the graph that are still stored, the latest first: which nodes ran, and what they changed."""
    steps, following = await own.service.list_steps(thread, page.get("limit", DEFAULT_LIMIT), page.get("before"))
    return ok({"thread_id": thread, "steps": [_describe(step) for step in steps], "next_before": following})


@router.get(
    "/{thread_id}/steps/{checkpoint_id}",
    response_model=answer_of(StateData),
    responses=failures(*_FAILURES, StepNotFound),
    openapi_extra=parameters(THREAD_ID, {**THREAD_ID, "name": "checkpoint_id"}),
)
async def get_thread_state(own: OwnThreads, thread: ThreadId, request: Request, _: NoQuery) -> Response:
    """The whole state after a step."""
    checkpoint_id = request.path_params["checkpoint_id"]
    if not is_thread_id(checkpoint_id):
        raise InvalidValue("checkpoint_id", "checkpoint_id must be that of a step")
    values = await own.service.get_state(thread, checkpoint_id)
    return ok({"thread_id": thread, "checkpoint_id": checkpoint_id, "values": values})


def _describe(step: Step) -> dict[str, Any]:
    return {
        "checkpoint_id": step.checkpoint_id,
        "step": step.number,
        "source": step.source,
        "created_at": step.created_at,
        "turn_id": step.turn_id,
        "nodes": list(step.nodes),
        "changed": [{"channel": channel, "value": value} for channel, value in step.changed],
        "next": list(step.next),
        "asked": list(step.asked),
        "error": step.error,
    }
