"""What waits for a person, as it is stored, asked for and shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AwareDatetime, Field, WithJsonSchema

from registry.checks import Body

Kind = Literal["approval", "question"]
"""A node that waits for approval, or something that an agent has asked."""

State = Literal["waiting", "decided", "withdrawn"]

SYSTEM = "system"
"""Who decides when nobody has in time."""

_Id = Annotated[str, Field(min_length=1, max_length=255)]
MOST_REPORTED = 2000
"""How many questions of one agent are listed: the ones that were asked last."""

MOST_DESCRIBED = 100
"""How many questions one report may describe."""


@dataclass(frozen=True)
class Question:
    """A question, and what has become of it."""

    question_id: UUID
    tenant_id: str
    position: int
    kind: Kind
    state: State
    agent_id: str | None
    task_id: str | None
    thread_id: str | None
    caller: str | None
    execution_id: UUID | None
    workflow_id: str | None
    node_id: str | None
    digest: str
    asked: dict[str, Any]
    asked_at: datetime
    due_at: datetime | None
    decision: dict[str, Any] | None
    decided_by: str | None
    decided_as: str | None
    decided_at: datetime | None
    deliver_at: datetime | None

    @property
    def is_of_an_agent(self) -> bool:
        """Whether the agent itself takes the answer."""
        return self.execution_id is None

    @property
    def allowed(self) -> Sequence[str]:
        """Return the decisions that it takes; none where it takes an answer."""
        if self.kind == "approval":
            return ("approve", "reject")
        decisions: Sequence[str] = self.asked.get("decisions") or ()
        return decisions


@dataclass(frozen=True)
class Selection:
    """Which questions are wanted; None: whichever."""

    state: State = "waiting"
    kind: Kind | None = None
    agent_id: str | None = None
    workflow_id: str | None = None
    labels: Mapping[str, str] | None = None
    """Of the agents that ask."""


@dataclass(frozen=True)
class QuestionPage:
    questions: Sequence[Question]
    next_position: int | None


class Described(Body):
    """What a question asks."""

    thread_id: Annotated[str, Field(max_length=255)]
    caller: Annotated[str, Field(max_length=255)]
    digest: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    text: str = ""
    data: Annotated[list[Any], Field(default_factory=list)]
    decisions: Annotated[list[Annotated[str, Field(max_length=32)]], Field(default_factory=list, max_length=16)]
    answer_schema: Annotated[dict[str, Any] | None, Field(alias="schema")] = None

    def asked(self) -> Mapping[str, Any]:
        return {
            "text": self.text,
            "data": self.data,
            "decisions": self.decisions,
            "schema": self.answer_schema,
        }


_DESCRIBED = {
    "type": ["object", "null"],
    "description": "What it asks: thread_id, caller, digest, text, data, decisions and schema.",
}


class Reported(Body):
    """An open question of an agent, described unless the registry knows it already."""

    task_id: _Id
    since: Annotated[AwareDatetime, Field(strict=False)]
    described: Annotated[Described | None, WithJsonSchema(_DESCRIBED)] = None


class Answered(Body):
    """A question that is open no more; `decided_by` is None for one that nobody has answered."""

    task_id: _Id
    since: Annotated[AwareDatetime, Field(strict=False)]
    decided_by: Annotated[str, Field(max_length=255)] | None = None


class QuestionsBody(Body):
    """All questions that an agent has at a time, or those since `complete_since` when there are too many."""

    read_at: Annotated[AwareDatetime, Field(strict=False)]
    complete_since: Annotated[AwareDatetime | None, Field(strict=False)] = None
    questions: Annotated[list[Reported], Field(max_length=MOST_REPORTED)]
    answered: Annotated[list[Answered], Field(default_factory=list, max_length=MOST_REPORTED)]
