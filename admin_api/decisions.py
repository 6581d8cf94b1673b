"""The agent's open questions, and answers to them in place of the callers who were asked."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response
from typing_extensions import TypedDict

from admin_api.body import body_of
from admin_api.deps import get_actor, get_decisions
from admin_api.envelope import answer_of, ok
from admin_api.errors import InvalidBody, PayloadTooLarge
from admin_api.openapi import THREAD_ID, body, failures, parameters
from admin_api.parameters import DECIMAL, STRICT, NoQuery, query_of
from admin_api.routes import AdminRoute
from agent_runtime.a2a_server.decisions import Decisions, OpenQuestion, Verdict
from agent_runtime.a2a_server.store import Position
from agent_runtime.errors import (
    AgentBusy,
    AnotherQuestion,
    BudgetSpent,
    CallerBusy,
    DecisionNotFound,
    InvalidValue,
    NothingToDecide,
)

router = APIRouter(prefix="/api/v1/decisions", route_class=AdminRoute, tags=["decisions"])

DEFAULT_LIMIT = 100

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

OwnDecisions = Annotated[Decisions, Depends(get_decisions)]
Actor = Annotated[str, Depends(get_actor)]


class DecisionsQuery(TypedDict, total=False):
    __pydantic_config__ = STRICT  # type: ignore[misc]  # how pydantic configures a TypedDict

    limit: Annotated[int, Field(ge=1, le=1000, description="an integer from 1 to 1000"), DECIMAL]
    cursor: Annotated[
        str, Field(description="the next_cursor of the page before", pattern=r"^[0-9]{1,17}-[^\x00]{1,255}$")
    ]


class DecisionBody(TypedDict, total=False):
    """Either an `answer`, or a `decision` about tool calls."""

    __pydantic_config__ = STRICT  # type: ignore[misc]  # how pydantic configures a TypedDict

    answer: Annotated[Any, Field(description="any JSON: a text, or what the question asks for")]
    decision: Annotated[Verdict, Field(description="approve, edit, reject or respond")]
    edited_action: Annotated[
        dict[str, Any], Field(description='an object such as {"name": "pay", "args": {}}, with decision edit')
    ]
    message: Annotated[str, Field(description="a text, with decision reject or respond")]
    digest: Annotated[
        str, Field(description="the digest of the question, 64 hexadecimal digits", pattern="^[0-9a-f]{64}$")
    ]


class DecisionData(TypedDict):
    task_id: str
    thread_id: str
    caller: str
    since: str
    text: Annotated[str, Field(description="What is asked, in words.")]
    data: Annotated[list[Any], Field(description="What is asked, where it is more than words.")]
    decisions: Annotated[list[str], Field(description="Those that a request to approve tool calls allows.")]
    schema: Annotated[dict[str, Any] | None, Field(description="The form of an answer to such a request.")]
    digest: Annotated[str, Field(description="Tells the question from any other.")]


class DecisionsData(TypedDict):
    decisions: list[DecisionData]
    next_cursor: str | None


class DecidedData(TypedDict):
    task_id: str
    decided_by: str
    digest: str


@router.get(
    "",
    response_model=answer_of(DecisionsData),
    responses=failures(),
    openapi_extra=parameters(query=DecisionsQuery),
)
async def list_decisions(
    decisions: OwnDecisions, query: Annotated[DecisionsQuery, query_of(DecisionsQuery)]
) -> Response:
    """What the agent has asked its callers and nobody has answered yet, the oldest first."""
    after = _position(query["cursor"]) if "cursor" in query else None
    page, following = await decisions.list_decisions(query.get("limit", DEFAULT_LIMIT), after)
    return ok({"decisions": [_describe(one) for one in page], "next_cursor": following and _cursor(following)})


@router.post(
    "/{task_id}",
    response_model=answer_of(DecidedData),
    responses=failures(
        InvalidBody,
        PayloadTooLarge,
        DecisionNotFound,
        NothingToDecide,
        AnotherQuestion,
        AgentBusy,
        CallerBusy,
        BudgetSpent,
    ),
    openapi_extra=parameters({**THREAD_ID, "name": "task_id"}) | body(DecisionBody),
)
async def decide(
    decisions: OwnDecisions,
    actor: Actor,
    request: Request,
    _: NoQuery,
    given: Annotated[DecisionBody, body_of(DecisionBody)],
) -> Response:
    """Answers the question of a task in place of its caller. Of any number of answers one is taken."""
    task_id = request.path_params["task_id"]
    if ("answer" in given) == ("decision" in given):
        raise InvalidValue("answer", "send either answer or decision")
    if "decision" in given:
        how = _decision(given)
        digest = await decisions.decide(task_id, how, by=actor, digest=given.get("digest"))
    else:
        _refuse(given, "edited_action", "message")
        digest = await decisions.answer(task_id, given["answer"], by=actor, digest=given.get("digest"))
    return ok({"task_id": task_id, "decided_by": actor, "digest": digest})


def _decision(given: DecisionBody) -> dict[str, Any]:
    """The decision as LangChain's middleware takes it. Raises `InvalidValue`."""
    kind = given["decision"]
    if kind == "edit":
        _refuse(given, "message")
        edited = given.get("edited_action", {})
        if not (isinstance(edited.get("name"), str) and isinstance(edited.get("args"), dict)):
            raise InvalidValue("edited_action", 'edited_action must be an object with "name" and "args"')
        return {"type": kind, "edited_action": edited}
    _refuse(given, "edited_action")
    if kind == "approve":
        _refuse(given, "message")
    if kind == "respond" and "message" not in given:
        raise InvalidValue("message", "message is missing; it is a text, with decision reject or respond")
    return {"type": kind} | ({"message": given["message"]} if "message" in given else {})


def _refuse(given: DecisionBody, *names: str) -> None:
    for name in names:
        if name in given:
            raise InvalidValue(name, f"{name} does not go with {given.get('decision', 'an answer')}")


def _describe(question: OpenQuestion) -> dict[str, Any]:
    return {
        "task_id": question.task_id,
        "thread_id": question.thread_id,
        "caller": question.caller,
        "since": question.since.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "text": question.text,
        "data": list(question.data),
        "decisions": list(question.decisions),
        "schema": question.schema,
        "digest": question.digest,
    }


def _cursor(position: Position) -> str:
    return f"{(position.status_at - _EPOCH) // timedelta(microseconds=1)}-{position.task_id}"


def _position(cursor: str) -> Position:
    microseconds, _, task_id = cursor.partition("-")
    try:
        return Position(_EPOCH + timedelta(microseconds=int(microseconds)), task_id)
    except OverflowError:
        raise InvalidValue("cursor", "cursor must be the next_cursor of the page before") from None
