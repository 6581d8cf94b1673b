"""Answers to questions as they are sent, and questions as they are shown."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from pydantic import ConfigDict, Field, model_validator
from typing_extensions import TypedDict

from registry.agents.labels import LabelFilter
from registry.checks import Body, Limit, Query
from registry.errors import InvalidRequest
from registry.executions.models import show_execution_id
from registry.questions.models import Kind, Question, State
from registry.times import rfc3339

Verdict = Literal["approve", "approved", "reject", "rejected", "edit", "respond"]

_SAME: Mapping[str, str] = {"approved": "approve", "rejected": "reject"}
_Text = Annotated[str, Field(max_length=10_000)]
_Id = Annotated[str, Field(min_length=1, max_length=255)]

MOST_AT_ONCE = 100
"""How many decisions one request may make."""


class DecisionBody(Body):
    """Either a `decision`, where something is to be approved, or an `answer`. `digest` is that of the question
    that is meant: an answer to any other is refused."""

    model_config = ConfigDict(json_schema_extra={"oneOf": [{"required": ["decision"]}, {"required": ["answer"]}]})

    decision: Verdict = Field(default=None)  # type: ignore[arg-type]  # left out, and never null
    answer: Any = None
    comment: _Text | None = None
    message: _Text | None = None
    edited_action: dict[str, Any] | None = None
    state_patch: dict[str, Any] | None = None
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None

    @model_validator(mode="after")
    def _is_one_of_both(self) -> Self:
        if ("decision" in self.model_fields_set) == ("answer" in self.model_fields_set):
            raise ValueError("send either decision or answer")
        return self


class NamedDecision(DecisionBody):
    decision_id: _Id


class DecisionsBody(Body):
    decisions: Annotated[list[NamedDecision], Field(min_length=1, max_length=MOST_AT_ONCE)]


class DecisionsQuery(Query):
    """Which questions, and which page of them: the next one begins at `cursor`."""

    kind: Kind | None = None
    agent_id: _Id | None = None
    workflow_id: _Id | None = None
    label: LabelFilter | None = None
    state: State = "waiting"
    limit: Limit = 100
    cursor: Annotated[int, Field(ge=1, le=2**63 - 1)] | None = None


class DecisionAnswer(TypedDict):
    decision_id: str
    kind: Kind
    state: State
    agent_id: str | None
    task_id: str | None
    thread_id: str | None
    caller: str | None
    execution_id: str | None
    workflow_id: str | None
    node_id: str | None
    since: str
    due_at: str | None
    text: Annotated[str, Field(description="What is asked, in words.")]
    data: Annotated[list[Any], Field(description="What is asked, where it is more than words.")]
    decisions: Annotated[list[str], Field(description="Those that it takes; none where it takes an answer.")]
    schema: Annotated[dict[str, Any] | None, Field(description="The form of an answer, where it is known.")]
    digest: Annotated[str, Field(description="Tells the question from any other.")]
    decision: str | None
    answer: Any
    comment: str | None
    decided_by: str | None
    decided_at: str | None
    delivered: Annotated[bool | None, Field(description="Whether the agent knows; null while nothing is decided.")]


class DecisionsAnswer(TypedDict):
    decisions: list[DecisionAnswer]
    next_cursor: int | None


class BulkResult(TypedDict, total=False):
    decision_id: str
    status: int
    decision: DecisionAnswer
    error: str
    decided_by: str


class DecisionsMadeAnswer(TypedDict):
    results: list[BulkResult]


def read_decision_id(text: str) -> UUID | None:
    """Return the id; None for what is none."""
    try:
        return UUID(text)
    except ValueError:
        return None


def decision_for(question: Question, body: DecisionBody) -> dict[str, Any]:
    """Return what was decided, in the form in which an agent takes it. Raises `InvalidRequest`."""
    if "answer" in body.model_fields_set:
        return _answer_to(question, body)
    kind = _SAME.get(body.decision, body.decision)
    if not question.allowed:
        raise InvalidRequest("decision: nothing is to be approved; send an answer instead")
    if kind not in question.allowed:
        raise InvalidRequest(f"decision: accepted here: {', '.join(question.allowed)}")
    if body.state_patch is not None and question.kind != "approval":
        raise InvalidRequest("state_patch goes with the approval of a workflow's node alone")
    message = body.message if body.message is not None else body.comment
    if kind == "respond" and message is None:
        raise InvalidRequest("message is required with the decision respond")
    if (kind == "edit") != (body.edited_action is not None):
        raise InvalidRequest("edited_action goes with the decision edit, and is required there")
    return {"decision": kind} | {
        name: value
        for name, value in (
            ("message", message),
            ("edited_action", body.edited_action),
            ("state_patch", body.state_patch),
        )
        if value is not None
    }


def show_decision(question: Question) -> DecisionAnswer:
    asked, decision = question.asked, question.decision or {}
    verdict = decision.get("decision")
    data: Sequence[Any] = asked.get("data") or ()
    execution = question.execution_id
    return {
        "decision_id": str(question.question_id),
        "kind": question.kind,
        "state": question.state,
        "agent_id": question.agent_id,
        "task_id": question.task_id,
        "thread_id": question.thread_id,
        "caller": question.caller,
        "execution_id": show_execution_id(execution) if execution else None,
        "workflow_id": question.workflow_id,
        "node_id": question.node_id,
        "since": rfc3339(question.asked_at),
        "due_at": rfc3339(question.due_at),
        "text": asked.get("text") or "",
        "data": list(data),
        "decisions": list(question.allowed),
        "schema": asked.get("schema"),
        "digest": question.digest,
        "decision": _SAME.get(verdict, verdict) if verdict else None,
        "answer": decision.get("answer"),
        "comment": decision.get("message") or decision.get("comment"),
        "decided_by": question.decided_by,
        "decided_at": rfc3339(question.decided_at),
        "delivered": question.deliver_at is None if question.state == "decided" else None,
    }


def _answer_to(question: Question, body: DecisionBody) -> dict[str, Any]:
    if question.kind == "approval":
        raise InvalidRequest("answer: a workflow's node waits for a decision: approve or reject")
    beside = ("comment", "message", "edited_action", "state_patch")
    if given := [name for name in beside if getattr(body, name) is not None]:
        raise InvalidRequest(f"{given[0]} does not go with an answer")
    return {"answer": body.answer}
