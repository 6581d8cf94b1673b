"""All that waits for a person, and answers to it: one list for workflows and agents."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from groundwork.postgres.pool import Pool, connection, transaction
from groundwork.process.each_row import EachRow
from groundwork.telemetry.logs import field_of
from registry.access import Principal, Role
from registry.agents.store import AgentKey, has_agent, unknown
from registry.audit.store import append_entry
from registry.checks import is_id
from registry.decisions.delivery import Delivered, deliver
from registry.decisions.models import DecisionBody, NamedDecision, decision_for, read_decision_id
from registry.errors import (
    AgentAway,
    AgentUnreachable,
    AlreadyDecided,
    Conflict,
    Forbidden,
    InvalidRequest,
    LimitReached,
    NotFound,
    RegistryError,
)
from registry.executions.service import Executions, Verdict
from registry.gateway.service import ANSWER_SECONDS, Gateway
from registry.questions import store
from registry.questions.models import Question, QuestionPage, QuestionsBody, Selection
from registry.questions.rules import require_decider

logger = logging.getLogger(__name__)

DELIVER_SECONDS = 2.0
"""How often a registry looks for decisions that an agent may not have heard of."""

PURGE_SECONDS = 600.0

_KEPT_DAYS = 30
_PURGED_AT_ONCE = 1000
_TIME_TO_DELIVER = 2 * ANSWER_SECONDS
_AT_ONCE = 8
_WORDS = {"approve": "approved", "reject": "rejected"}


class Decisions:
    """The questions of all tenants; every method works on the principal's own. Another tenant's are `NotFound`.

    A node of an execution goes on in the transaction in which it is decided. An agent is told after its decision
    is stored, and again until it has answered: it takes one answer to a question, so nothing happens twice.
    Every method raises `DatabaseUnavailable` when the database cannot be used.
    """

    def __init__(self, pool: Pool, executions: Executions, gateway: Gateway) -> None:
        self._pool = pool
        self._executions = executions
        self._gateway = gateway
        self._rows = EachRow("delivering decisions", logger)

    async def admit(self, principal: Principal) -> None:
        """Let somebody decide who may, as the tenant's policy has it. Raises `Forbidden`."""
        async with connection(self._pool) as conn:
            await require_decider(conn, principal)

    async def list_decisions(
        self, principal: Principal, selection: Selection, limit: int, after: int | None = None
    ) -> QuestionPage:
        """Return a page: of what waits, the longest waiting first, of the rest the newest."""
        listed = store.list_waiting if selection.state == "waiting" else store.list_closed
        async with connection(self._pool) as conn:
            found = await listed(conn, principal.tenant_id, selection, after, limit + 1)
        page = found[:limit]
        return QuestionPage(page, page[-1].position if len(found) > limit else None)

    async def get_decision(self, principal: Principal, decision_id: str) -> Question:
        """Raises `NotFound`."""
        key = read_decision_id(decision_id)
        async with connection(self._pool) as conn:
            question = await store.find_question(conn, key, principal.tenant_id) if key else None
        if question is None:
            raise NotFound(f"decision {decision_id}")
        return question

    async def decide(self, principal: Principal, decision_id: str, body: DecisionBody) -> Question:
        """Decide it, once; return what has become of the question.

        Raises `NotFound`, `InvalidRequest`, `AlreadyDecided`, `Conflict` for the digest of another question, and
        where an agent is to be told `AgentAway`: then the question waits as before.
        """
        question = await self.get_decision(principal, decision_id)
        if body.digest is not None and body.digest != question.digest:
            raise Conflict(f"decision {decision_id} has another digest by now; read what is asked")
        if question.state != "waiting":
            raise AlreadyDecided(f"decision {decision_id}", question.decided_by)
        decision = decision_for(question, body)
        if question.is_of_an_agent:
            await self._decide_for_agent(principal, question, decision)
        elif question.kind == "approval":
            verdict = Verdict(
                _WORDS[decision["decision"]],
                principal.actor_id,
                decision.get("message"),
                decision.get("state_patch"),
            )
            await self._executions.decide(principal, question, verdict)
        else:
            await self._executions.answer(principal, question, decision["answer"])
        return await self.get_decision(principal, decision_id)

    async def decide_many(
        self, principal: Principal, wanted: Sequence[NamedDecision]
    ) -> Sequence[Question | RegistryError]:
        """Decide each by itself; return for each the question, or why it was not decided."""
        places = asyncio.Semaphore(_AT_ONCE)

        async def decide(one: NamedDecision) -> Question | RegistryError:
            async with places:
                try:
                    return await self.decide(principal, one.decision_id, one)
                except RegistryError as error:
                    return error

        return await asyncio.gather(*map(decide, wanted))

    async def report(self, principal: Principal, agent_id: str, report: QuestionsBody) -> Sequence[str]:
        """Take over which questions an agent has; return the tasks of those that it has to describe.

        Raises `NotFound`.
        """
        async with transaction(self._pool) as conn:
            if not is_id(agent_id) or not await has_agent(conn, AgentKey(principal.tenant_id, agent_id)):
                raise unknown(agent_id)
            return await store.take_report(conn, principal.tenant_id, agent_id, report)

    async def deliver_all(self) -> None:
        """Tell agents what they may not have heard of: whoever was to tell them was stopped, or not answered."""
        while await self._deliver_next():
            pass

    async def purge(self) -> None:
        """Delete questions that were closed long ago."""
        async with connection(self._pool) as conn:
            while await store.purge_questions(conn, _KEPT_DAYS, _PURGED_AT_ONCE) == _PURGED_AT_ONCE:
                pass

    async def _decide_for_agent(
        self, principal: Principal, question: Question, decision: Mapping[str, Any]
    ) -> None:
        async with transaction(self._pool) as conn:
            current = await store.lock_question(conn, question.question_id)
            if current is None or current.state != "waiting":
                decided_by = current.decided_by if current else None
                raise AlreadyDecided(f"decision {question.question_id}", decided_by)
            await store.note_decision(
                conn,
                question.question_id,
                decision,
                by=principal.actor_id,
                role=principal.role,
                deliver_seconds=_TIME_TO_DELIVER,
            )
            await append_entry(
                conn,
                principal,
                "question_answered",
                f"agent:{question.agent_id}",
                task_id=question.task_id,
                **decision,
            )
        await self._tell(principal, await self.get_decision(principal, str(question.question_id)))

    async def _tell(self, principal: Principal, question: Question) -> None:
        """Tell the agent for the first time. Raises what `decide` raises."""
        try:
            delivered = await deliver(self._gateway, principal, question)
        except (AgentAway, LimitReached, Forbidden, InvalidRequest, NotFound):
            async with connection(self._pool) as conn:  # nothing was sent
                await store.note_refused(conn, question.question_id)
            raise
        except AgentUnreachable as error:
            # It may have heard it, so it is asked again, by whichever registry.
            logger.warning("decision not confirmed question_id=%s: %s", question.question_id, error)
            return
        await self._settle(question, delivered)
        if delivered.outcome == "refused":
            raise InvalidRequest(delivered.problem)
        if delivered.outcome == "moved":
            raise AlreadyDecided(f"decision {question.question_id}", delivered.decided_by)

    async def _settle(self, question: Question, delivered: Delivered, *, again: bool = False) -> None:
        """Note what the agent has made of it. What it has moved on from when it is told again, it has heard."""
        async with connection(self._pool) as conn:
            if delivered.outcome == "refused":
                await store.note_refused(conn, question.question_id)
            elif delivered.outcome == "moved" and delivered.decided_by is None and not again:
                await store.withdraw_question(conn, question.question_id)
            elif again and delivered.decided_by == question.decided_by:
                await store.note_delivered(conn, question.question_id)
            else:
                await store.note_delivered(conn, question.question_id, delivered.decided_by)

    async def _deliver_next(self) -> bool:
        """Whether there was one to be delivered."""
        async with connection(self._pool) as conn:
            question = await store.claim_undelivered(conn, _TIME_TO_DELIVER, self._rows.resting())
        if question is None:
            return False
        with self._rows.handling(question.question_id, question_id=question.question_id):
            try:
                delivered = await deliver(self._gateway, _decider(question), question)
            except (AgentUnreachable, LimitReached) as error:
                logger.info("decision still undelivered question_id=%s: %s", question.question_id, error)
            else:
                await self._settle(question, delivered, again=True)
                logger.info(
                    "decision delivered question_id=%s %s outcome=%s",
                    question.question_id,
                    field_of("agent_id", question.agent_id),
                    delivered.outcome,
                )
        return True


def _decider(question: Question) -> Principal:
    """Whoever has decided it, in the role that they had then."""
    role: Any = question.decided_as
    known: Role = role
    assert question.decided_by is not None, "it was decided"
    return Principal(question.tenant_id, known, question.decided_by)
