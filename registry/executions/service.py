"""What can be done with executions from outside: start, look, cancel, decide, tell."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import UUID

from groundwork.postgres.pool import Connection, Pool, connection, transaction
from registry.access import Principal
from registry.audit.store import append_entry
from registry.errors import AlreadyDecided, Conflict, InvalidRequest, NotFound
from registry.executions import standing, store, waking
from registry.executions.events import Event
from registry.executions.models import (
    TERMINAL,
    ExecutionRow,
    ListedExecution,
    Progress,
    Standing,
    Status,
    StoredEvent,
    Wait,
    read_execution_id,
    show_execution_id,
)
from registry.executions.starting import Starter
from registry.questions import store as questions
from registry.questions.models import Question
from registry.queue.jobs import Jobs
from registry.repeats.models import RequestKey
from registry.repeats.store import claim_request_key, note_answer
from registry.tenants.store import lock_limits
from registry.workflows import store as workflows
from registry.workflows.models import StoredWorkflow

CHILDREN_SHOWN = 100
"""How many of the executions that one has begun are shown with it."""

MOST_KEPT_EVENTS = 1000
"""How many events of an execution may wait for something that waits for them."""


@dataclass(frozen=True)
class Approvals:
    """What a person is asked, and what was decided before."""

    pending: Sequence[Wait]
    decided: Sequence[StoredEvent]


@dataclass(frozen=True)
class Verdict:
    """What somebody decides about a node: `approved` or `rejected`. `state_patch` is merged into the state."""

    decision: str
    user_id: str
    comment: str | None = None
    state_patch: Mapping[str, Any] | None = None


class Executions:
    """The executions of all tenants; every method works on the principal's own. Another tenant's are `NotFound`.

    Every method raises `DatabaseUnavailable` when the database cannot be used. What is asked for again under the
    key `once` is not done again, and has the first answer.
    """

    def __init__(self, pool: Pool, jobs: Jobs) -> None:
        self._pool = pool
        self._jobs = jobs
        self._starter = Starter(jobs)

    async def start(
        self,
        principal: Principal,
        workflow_id: str,
        version: str | None,
        given: Mapping[str, Any],
        once: RequestKey | None = None,
    ) -> UUID:
        """Begins an execution of the version, or of the latest. Raises `NotFound`, `LimitReached`, and `Conflict`
        for another request under the key."""
        async with transaction(self._pool) as conn:
            if (before := await claim_request_key(conn, once)) is not None:
                return UUID(before["execution_id"])
            stored = await workflows.get_latest(conn, principal.tenant_id, workflow_id, version)
            execution_id = await self._begin(conn, principal, stored, given)
            await note_answer(conn, once, execution_id, {"execution_id": str(execution_id)})
        return execution_id

    async def start_again(self, principal: Principal, execution_id: str, once: RequestKey | None = None) -> UUID:
        """Begin another execution of the same document with the same input, from the first node on.

        Raises `NotFound`, `LimitReached`, and `Conflict` for another request under the key.
        """
        async with transaction(self._pool) as conn:
            if (before := await claim_request_key(conn, once)) is not None:
                return UUID(before["execution_id"])
            row = await self._find(conn, principal, execution_id)
            stored = await workflows.get_revision(conn, row.revision_id)
            again_of = show_execution_id(row.execution_id)
            started = await self._begin(conn, principal, stored, row.initial_input, again_of=again_of)
            await note_answer(conn, once, started, {"execution_id": str(started)})
        return started

    async def _begin(
        self, conn: Connection, principal: Principal, stored: StoredWorkflow, given: Mapping[str, Any], **told: str
    ) -> UUID:
        limits = await lock_limits(conn, principal.tenant_id)
        await store.check_limits(conn, principal.tenant_id, limits)
        execution_id = await self._starter.start(conn, principal.tenant_id, stored, given)
        shown = show_execution_id(execution_id)
        await append_entry(
            conn,
            principal,
            "execution_started",
            f"execution:{shown}",
            execution_id=shown,
            workflow_id=stored.workflow_id,
            workflow_version=stored.version,
            **told,
        )
        return execution_id

    async def get(self, principal: Principal, execution_id: str) -> ExecutionRow:
        """Raises `NotFound`."""
        async with connection(self._pool) as conn:
            return await self._find(conn, principal, execution_id)

    async def get_standing(self, principal: Principal, execution_id: str) -> Standing:
        """Return where it stands in its workflow. Raises `NotFound`."""
        async with connection(self._pool) as conn:
            row = await self._find(conn, principal, execution_id)
            stored = await workflows.get_revision(conn, row.revision_id)
            states = await standing.list_node_states(conn, row.execution_id)
            waits = await store.list_waits(conn, row.execution_id)
            children = await standing.list_children(conn, row.execution_id, CHILDREN_SHOWN)
        nodes = states | {wait.node_id: "waiting" for wait in waits}
        return Standing(await self._starter.reader.read(stored), nodes, waits, children)

    async def list(
        self, principal: Principal, status: Status | None, limit: int, offset: int
    ) -> Sequence[ListedExecution]:
        """The newest first."""
        async with connection(self._pool) as conn:
            return await store.list_executions(conn, principal.tenant_id, status, limit, offset)

    async def list_events(
        self, principal: Principal, execution_id: str, after: int = 0, limit: int | None = None
    ) -> tuple[Progress, Sequence[StoredEvent]]:
        """How far the execution has come, and its events with greater numbers than `after`. What had happened when
        it had come so far is among them, and more may be. Raises `NotFound`."""
        async with connection(self._pool) as conn:
            key = read_execution_id(execution_id)
            progress = await store.find_progress(conn, key, principal.tenant_id) if key else None
            if key is None or progress is None:
                raise NotFound(f"execution {execution_id}")
            if progress.last_sequence <= after:
                return progress, []
            return progress, await store.list_events(conn, key, after, limit)

    async def cancel(self, principal: Principal, execution_id: str) -> UUID:
        """Ends it. Whatever a worker has in hand can write nothing more. Raises `NotFound` and `Conflict`."""
        async with transaction(self._pool) as conn:
            key = await self._lock(conn, principal, execution_id)
            event = Event("workflow_cancelled", None, {"reason": f"cancelled by {principal.actor_id}"})
            await waking.finish(conn, self._jobs, key, "cancelled", event)
            await self._record(conn, principal, "execution_cancelled", key)
        return key

    async def approve(
        self,
        principal: Principal,
        execution_id: str,
        *,
        decision: str,
        node_id: str | None = None,
        user_id: str | None = None,
        comment: str | None = None,
        state_patch: Mapping[str, Any] | None = None,
        once: RequestKey | None = None,
    ) -> tuple[UUID, str]:
        """Decides what a node waits for, once; returns the execution and the node.

        It may wait in an execution that this one has begun. Raises `NotFound`; `Conflict` when nothing is pending;
        `InvalidRequest` when several are and none is named.
        """
        async with transaction(self._pool) as conn:
            if (before := await claim_request_key(conn, once)) is not None:
                return UUID(before["execution_id"]), before["node_id"]
            key = await self._lock(conn, principal, execution_id)
            waits = await store.list_pending_approvals(conn, key)
            if not waits and (last := await questions.find_decided(conn, key, node_id)) is not None:
                raise AlreadyDecided(f"node {last.node_id}", last.decided_by)
            wait = _chosen(waits, key, node_id)
            # An execution is locked before those that it has begun, here as everywhere.
            await store.lock_execution(conn, wait.execution_id)
            verdict = Verdict(decision, user_id or principal.actor_id, comment, state_patch)
            await self._decide(conn, principal, wait.wait_id, verdict)
            await note_answer(conn, once, key, {"execution_id": str(key), "node_id": wait.node_id})
        return key, wait.node_id

    async def decide(self, principal: Principal, question: Question, verdict: Verdict) -> None:
        """Decide what a node waits for, by the question that it asks, once.

        Raises `AlreadyDecided`, and `Conflict` when the execution has ended.
        """
        assert question.execution_id is not None, "the question is one of an execution"
        async with transaction(self._pool) as conn:
            await store.lock_execution(conn, question.execution_id)
            await self._decide(conn, principal, question.question_id, verdict)

    async def answer(self, principal: Principal, question: Question, answer: Any) -> None:
        """Answer what an agent has asked a node of an execution, once. Raises `AlreadyDecided`."""
        assert question.execution_id is not None, "the question is one of an execution"
        async with transaction(self._pool) as conn:
            await store.lock_execution(conn, question.execution_id)
            wait = await self._end_wait(conn, principal, question.question_id, {"answer": answer})
            payload = {"text": answer} if isinstance(answer, str) else answer
            told = {"correlation_key": wait.correlation_key, "payload": payload}
            event = Event("external_event_received", wait.node_id, told)
            await waking.wake(conn, self._jobs, wait, {"kind": "event", **told}, [event])
            await self._record(
                conn, principal, "question_answered", wait.execution_id, node_id=wait.node_id, answer=answer
            )

    async def list_approvals(self, principal: Principal, execution_id: str) -> Approvals:
        """Those of the execution and of the executions that it has begun. Raises `NotFound`."""
        async with transaction(self._pool) as conn:
            row = await self._find(conn, principal, execution_id)
            pending = await store.list_pending_approvals(conn, row.execution_id)
            decided = await store.list_decided_approvals(conn, row.execution_id)
        return Approvals(pending, decided)

    async def tell(
        self,
        principal: Principal,
        execution_id: str,
        correlation_key: str,
        payload: Any,
        once: RequestKey | None = None,
    ) -> UUID:
        """An event from outside: it wakes whatever waits for the key, or is kept until something does.

        Raises `NotFound`, and `Conflict` for an execution that has ended.
        """
        async with transaction(self._pool) as conn:
            if (before := await claim_request_key(conn, once)) is not None:
                return UUID(before["execution_id"])
            key = await self._lock(conn, principal, execution_id)
            event = Event(
                "external_event_received", None, {"correlation_key": correlation_key, "payload": payload}
            )
            wait = await store.find_event_wait(conn, key, correlation_key)
            if wait is None:
                if await store.count_kept_events(conn, key) >= MOST_KEPT_EVENTS:
                    raise Conflict(f"{MOST_KEPT_EVENTS} events wait already for something that waits for them")
                await store.append_events(conn, key, [event])
                await store.keep_event(conn, key, correlation_key, payload)
            else:
                answer = {"answer": payload}
                await questions.note_decision(
                    conn, wait.wait_id, answer, by=principal.actor_id, role=principal.role
                )
                await store.end_wait(conn, wait.wait_id)
                woken = Event(event.type, wait.node_id, event.data)
                told = {"kind": "event", "correlation_key": correlation_key, "payload": payload}
                await waking.wake(conn, self._jobs, wait, told, [woken])
            await self._record(conn, principal, "external_event_received", key, correlation_key=correlation_key)
            await note_answer(conn, once, key, {"execution_id": str(key)})
        return key

    async def _decide(self, conn: Connection, principal: Principal, wait_id: UUID, verdict: Verdict) -> None:
        told = asdict(verdict)
        wait = await self._end_wait(conn, principal, wait_id, told)
        event = Event("approval_received", wait.node_id, {"node_id": wait.node_id, **told})
        await waking.wake(conn, self._jobs, wait, {"kind": "approval", **told}, [event])
        await self._record(conn, principal, "approval_received", wait.execution_id, node_id=wait.node_id, **told)

    async def _end_wait(
        self, conn: Connection, principal: Principal, wait_id: UUID, decision: Mapping[str, Any]
    ) -> Wait:
        """End what waits in an execution that is locked. Raises `AlreadyDecided`."""
        await questions.note_decision(conn, wait_id, decision, by=principal.actor_id, role=principal.role)
        wait = await store.end_wait(conn, wait_id)
        if wait is None:
            question = await questions.find_question(conn, wait_id)
            what = f"node {question.node_id}" if question else "what was asked"
            raise AlreadyDecided(what, question.decided_by if question else None)
        return wait

    async def _find(self, conn: Connection, principal: Principal, execution_id: str) -> ExecutionRow:
        key = read_execution_id(execution_id)
        row = await store.find_execution(conn, key, principal.tenant_id) if key else None
        if row is None:
            raise NotFound(f"execution {execution_id}")
        return row

    async def _lock(self, conn: Connection, principal: Principal, execution_id: str) -> UUID:
        """Keeps others from changing the execution. Raises `NotFound`, and `Conflict` when it has ended."""
        row = await self._find(conn, principal, execution_id)
        status = await store.lock_execution(conn, row.execution_id)
        if status in TERMINAL:
            raise Conflict(f"execution {show_execution_id(row.execution_id)} is {status}")
        return row.execution_id

    async def _record(
        self, conn: Connection, principal: Principal, event_type: str, key: UUID, **detail: Any
    ) -> None:
        shown = show_execution_id(key)
        await append_entry(conn, principal, event_type, f"execution:{shown}", execution_id=shown, **detail)


def _chosen(waits: Sequence[Wait], execution_id: UUID, node_id: str | None) -> Wait:
    """The one that is meant: with several, a decision without a name would be a guess."""
    if node_id is not None:
        waits = [wait for wait in waits if wait.node_id == node_id]
        waits = [wait for wait in waits if wait.execution_id == execution_id] or waits
    if not waits:
        raise Conflict(f"node {node_id} waits for no approval" if node_id else "nothing waits for an approval")
    if len(waits) > 1 and node_id is not None:
        several = ", ".join(show_execution_id(wait.execution_id) for wait in waits)
        raise InvalidRequest(f"node {node_id} waits for an approval in several executions: {several}; name one")
    if len(waits) > 1:
        names = ", ".join(sorted(wait.node_id for wait in waits))
        raise InvalidRequest(f"node_id is required: {names} wait for approval")
    return waits[0]
