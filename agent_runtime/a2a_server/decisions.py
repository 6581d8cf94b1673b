"""Questions of the agent to whichever caller, for operators who answer in place of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol
from uuid import uuid4

from a2a.types import Role, Task, TaskState
from a2a.utils.errors import TaskNotFoundError, UnsupportedOperationError

from agent_runtime.a2a_server import convert, store
from agent_runtime.a2a_server.checks import is_storable
from agent_runtime.a2a_server.tasks import A2ATurnRequest, StoredTask, question_digest, state_name
from agent_runtime.errors import AnotherQuestion, DecisionNotFound, InvalidValue, NothingToDecide
from agent_runtime.graph.incoming import human_message
from agent_runtime.graph.outputs import Data, Part, Text
from agent_runtime.turns.questions import common_decisions, decisions_schema, tool_approvals
from agent_runtime.turns.types import Turn, TurnRequest
from groundwork.postgres.pool import Pool, connection


class TurnEngine(Protocol):
    """What takes answers; see `turns.engine.Turns`."""

    async def submit(self, request: TurnRequest) -> Turn: ...


Verdict = Literal["approve", "edit", "reject", "respond"]
"""What may be decided about tool calls that wait for a person."""


@dataclass(frozen=True)
class OpenQuestion:
    """What a task asks, in words and, where it is more than words, as `data`. `decisions` are those that a request
    to approve tool calls allows, `schema` is the form of an answer as far as it is known, and `digest` tells the
    question from any other."""

    task_id: str
    thread_id: str
    caller: str
    since: datetime
    text: str
    data: Sequence[Any]
    decisions: Sequence[str]
    schema: Mapping[str, Any] | None
    digest: str


class Decisions:
    """The open questions of one agent."""

    def __init__(self, pool: Pool, agent_id: str, engine: TurnEngine) -> None:
        self._pool = pool
        self._agent_id = agent_id
        self._engine = engine

    async def list_decisions(
        self, limit: int, after: store.Position | None = None
    ) -> tuple[list[OpenQuestion], store.Position | None]:
        """Return a page of the questions, the oldest first, and where the next one begins."""
        async with connection(self._pool) as conn:
            page, more = await store.list_open_questions(conn, self._agent_id, limit, after)
        return [_question(stored, at.status_at) for stored, at in page], page[-1][1] if more else None

    async def answer(self, task_id: str, answer: Any, *, by: str, digest: str | None = None) -> str:
        """Take the answer for the question that the task asks now; return the question's digest.

        The digest of another question is refused, and so is every answer but one: of answers that arrive together
        the database takes the first. Raises `DecisionNotFound`, `NothingToDecide`, `AnotherQuestion`, and what
        `Turns.submit` raises.
        """
        stored = await self._get_waiting(task_id)
        return await self._submit(stored, answer, by, digest)

    async def decide(
        self, task_id: str, decision: Mapping[str, Any], *, by: str, digest: str | None = None
    ) -> str:
        """Take a decision for all the tool calls that the task wants to have approved; like `answer`.

        Raises `InvalidValue` when it asks something else, or does not allow that decision.
        """
        stored = await self._get_waiting(task_id)
        allowed = _question_of(stored.task).decisions
        if not allowed:
            raise InvalidValue("decision", f"task {task_id!r} asks for no approval; send an answer instead")
        if decision["type"] not in allowed:
            raise InvalidValue("decision", f"decision must be one that the question allows: {', '.join(allowed)}")
        return await self._submit(stored, dict(decision), by, digest)

    async def list_open_keys(self, limit: int) -> tuple[datetime, list[store.Position], bool]:
        """Return when this is read, where questions are open, the last one first, and whether there are more."""
        async with connection(self._pool) as conn:
            return await store.list_open_keys(conn, self._agent_id, limit)

    async def find_question(self, task_id: str) -> OpenQuestion | None:
        """Return what the task asks now; None when it asks nothing."""
        async with connection(self._pool) as conn:
            found = await store.find_task_of_any_caller(conn, self._agent_id, task_id)
        return None if found is None or not found[0].is_waiting else _question(found[0], found[2])

    async def find_decider(self, task_id: str) -> str | None:
        """Return who has answered the question that the task has asked before; None for nobody, or when it is
        gone."""
        async with connection(self._pool) as conn:
            found = await store.find_task_of_any_caller(conn, self._agent_id, task_id)
        if found is None or found[0].task.status.state == TaskState.TASK_STATE_CANCELED:
            return None
        return _decider(found[0].task, found[1])

    async def _get_waiting(self, task_id: str) -> StoredTask:
        found = None
        if is_storable(task_id):
            async with connection(self._pool) as conn:
                found = await store.find_task_of_any_caller(conn, self._agent_id, task_id)
        if found is None:
            raise DecisionNotFound(task_id)
        stored, answered_by, _ = found
        if not stored.is_waiting:
            state = state_name(stored.task.status.state).lower().replace("_", "-")
            raise NothingToDecide(task_id, state, _decider(stored.task, answered_by))
        return stored

    async def _submit(self, stored: StoredTask, answer: Any, by: str, digest: str | None) -> str:
        asked = question_digest(stored.task)
        if digest is not None and digest != asked:
            raise AnotherQuestion(stored.task.id)
        try:
            await self._engine.submit(_request(stored, answer, by, asked))
        except (TaskNotFoundError, UnsupportedOperationError):
            # Somebody else was first, or the task has gone: the second look tells which.
            await self._get_waiting(stored.task.id)
            raise AnotherQuestion(stored.task.id) from None
        return asked


def _request(stored: StoredTask, answer: Any, by: str, question: str) -> A2ATurnRequest:
    part: Part = Text(answer) if isinstance(answer, str) else Data(answer)
    message = human_message(
        [part],
        message_id=(message_id := str(uuid4())),
        context_id=stored.thread_id,
        task_id=stored.task.id,
        caller=stored.caller,
        metadata={"answered_by": by},
    )
    original = convert.user_message(
        message, message_id=message_id, context_id=stored.thread_id, task_id=stored.task.id
    )
    del original.parts[:]
    original.parts.append(convert.outgoing_part(part))
    return A2ATurnRequest(
        stored.thread_id,
        stored.task.id,
        stored.caller,
        message_id,
        message,
        answers=True,
        original=original,
        answered_by=by,
        question=question,
    )


@dataclass(frozen=True)
class _Asked:
    text: str
    data: list[Any]
    decisions: list[str]
    schema: dict[str, Any] | None


def _question_of(task: Task) -> _Asked:
    parts = convert.incoming_parts(task.status.message)
    data = [part.value for part in parts if isinstance(part, Data)]
    text = "\n\n".join(part.text for part in parts if isinstance(part, Text))
    request = data[0] if len(data) == 1 and tool_approvals(data[0]) else None
    if request is None:
        return _Asked(text, data, [], None)
    return _Asked(text, data, common_decisions(request), decisions_schema(request))


def _question(stored: StoredTask, since: datetime) -> OpenQuestion:
    asked = _question_of(stored.task)
    return OpenQuestion(
        stored.task.id,
        stored.thread_id,
        stored.caller,
        since,
        asked.text,
        asked.data,
        asked.decisions,
        asked.schema,
        question_digest(stored.task),
    )


def _decider(task: Task, answered_by: str | None) -> str | None:
    """Who has answered the last question, if there was one: the task's first message has asked for the task."""
    said = [message for message in task.history if message.role == Role.ROLE_USER]
    return (answered_by or "its caller") if len(said) > 1 else None
