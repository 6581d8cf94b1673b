"""One worker's hold on one execution: it runs the graph as far as it goes, and records what comes of it."""

import asyncio
import logging
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, cast

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import Checkpoint
from langgraph.errors import GraphRecursionError
from langgraph.types import Command

from groundwork.bounds import NODE_SECONDS
from groundwork.postgres.checkpoint_rows import CheckpointRows
from groundwork.postgres.pool import DatabaseUnavailable, connection, transaction
from groundwork.telemetry.tracing import span
from registry.engine.budgets import budget_patch
from registry.engine.graph import SETTLE, RunContext, RunState, graph_name
from registry.engine.lifetime import Lifetime, TooMuchWritten
from registry.engine.parking import park
from registry.engine.plan import Decision
from registry.engine.policy_gate import guard
from registry.engine.retries import next_attempt_after
from registry.engine.saver import ExecutionSaver
from registry.engine.toolbox import Compiled, WorkerContext
from registry.engine.visits import Visit
from registry.executions import store
from registry.executions.events import (
    Completed,
    Event,
    ExecutionRef,
    Failed,
    LimitExceeded,
    Outcome,
    Parked,
    cleaned,
)
from registry.executions.merge_patch import Change
from registry.executions.models import Signal, TakenUp, Visits
from registry.executions.store import ExecutionNotOurs, Step
from registry.workflows.evaluation_budget import EvaluationBudget, EvaluationTooLarge
from registry.workflows.ir import Node
from registry.workflows.kinds import Finalizer
from registry.workflows.queue_types import is_handed_out, queue_type, works_outside

logger = logging.getLogger(__name__)

NULL_TASK_ID = "00000000-0000-0000-0000-000000000000"
"""The task to which LangGraph ascribes what a run is begun with."""

MAX_STEPS = 10_000
"""How many steps an execution may take without waiting for something: a loop that never ends is ended here."""


@dataclass
class Record:
    """What is to be written about a task of the graph, in the transaction of its own writes."""

    events: list[Event]
    change: Change = field(default_factory=Change)
    steps: int = 0
    cost_usd: float = 0.0
    tokens: int = 0
    parked: tuple[Node, Parked] | None = None
    written: asyncio.Future[None] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def step(self, rows: CheckpointRows) -> Step:
        return Step(
            rows, self.events, change=self.change, steps=self.steps, cost_usd=self.cost_usd, tokens=self.tokens
        )


class Run:
    """Travels through the graph (see `graph.Runner`) for as long as the execution is this worker's.

    Raises `ExecutionNotOurs` from wherever it is when it no longer is, and `DatabaseUnavailable`.
    """

    def __init__(self, worker_context: WorkerContext, taken: TakenUp, compiled: Compiled) -> None:
        self._context = worker_context
        self._taken = taken
        self._plan = compiled.plan
        self._ref = ExecutionRef(taken.execution_id, taken.tenant_id, compiled.plan.workflow)
        self._records: dict[str, Record] = {}
        self._consumed: list[int] = []
        self._finalized = False
        self._lifetime = Lifetime(taken)
        self._budget = EvaluationBudget()
        self._cost_usd = taken.cost_usd
        self._tokens = taken.tokens_used
        self._saver = ExecutionSaver(worker_context.pool, self)
        self._graph = compiled.graph.copy(update={"checkpointer": self._saver})
        self._config: RunnableConfig = {
            "configurable": {"thread_id": str(taken.execution_id)},
            "recursion_limit": MAX_STEPS,
        }

    async def begin(self, *, is_new: bool) -> RunState:
        """Runs the graph from its start, or from where the worker before left it in the middle of a step."""
        if is_new or await self._saver.aget_tuple(self._config) is None:
            return await self._go({"values": self._taken.initial_input})
        return await self._go(None)

    async def go_on(self, signals: list[Signal]) -> RunState:
        """Visits the nodes that have what they waited for."""
        self._consumed = [signal.signal_id for signal in signals]
        wakes = {signal.node_id: signal.payload for signal in signals}
        return await self._go(Command(update={"wakes": wakes}, goto=[graph_name(name) for name in wakes]))

    async def finalize(self, ended: Mapping[str, Any]) -> None:
        """Runs the finalizers that are meant for failures, once; what becomes of them changes nothing more."""
        if self._finalized:
            return
        self._finalized = self._lifetime.is_ending = True
        if left := await self._not_run_yet(sorted(self.finalizers)):
            await self._go(Command(update={"ended": dict(ended)}, goto=[graph_name(name) for name in left]))

    @cached_property
    def finalizers(self) -> frozenset[str]:
        """The nodes that are run after a failure."""
        nodes = self._plan.workflow.nodes.items()
        return frozenset(
            name for name, node in nodes if isinstance(node.kind, Finalizer) and node.kind.run_on != "success"
        )

    async def _not_run_yet(self, names: Sequence[str]) -> list[str]:
        """Those that have done nothing so far, and have not tried: also by a worker before."""
        if not names:
            return []
        execution_id = self._taken.execution_id
        async with connection(self._context.pool) as conn:
            tried = await store.list_tried_tools(conn, execution_id, names)
            waits = {wait.node_id for wait in await store.list_waits(conn, execution_id)}
        return [name for name in names if name not in tried and name not in waits]

    async def _go(self, entry: Any) -> RunState:
        try:
            state = await self._graph.ainvoke(entry, self._config, context=RunContext(self), durability="sync")
        except TooMuchWritten as error:
            return {"ended": {"status": "limit_exceeded", "error": str(error)}}
        except GraphRecursionError:
            return {"ended": {"status": "limit_exceeded", "error": f"more than {MAX_STEPS} steps without a pause"}}
        return cast("RunState", state)

    async def visit(self, node_id: str, state: RunState, task_id: str) -> Command[str]:
        node = self._plan.node(node_id)
        if state.get("ended") and not isinstance(node.kind, Finalizer):
            return Command(update={"wakes": {node_id: None}})
        wake = (state.get("wakes") or {}).get(node_id)
        started = time.monotonic()
        visit = self._arriving(node, state, wake)
        let_through = await self._guarded(visit)
        if isinstance(let_through, Visit):
            visit = await self._start(let_through)
            outcome = await self._outcome(visit)
        else:
            outcome = let_through
        return self._conclude(visit, outcome, task_id, round(1000 * (time.monotonic() - started)))

    async def _guarded(self, visit: Visit) -> Visit | Parked | Failed:
        try:
            return await guard(visit, self._context.pool)
        except EvaluationTooLarge as error:
            return Failed(str(error))

    async def settle(self, state: RunState, task_id: str) -> Command[str]:
        decision = self._plan.settle({key: mark for key, mark in state.get("marks", {}).items() if mark})
        self._records[task_id] = Record(self._following(decision))
        return Command(update={"marks": decision.marks}, goto=[graph_name(name) for name in decision.ready])

    def _arriving(self, node: Node, state: RunState, wake: Mapping[str, Any] | None) -> Visit:
        return Visit(
            execution=self._ref,
            plan=self._plan,
            node=node,
            state=state.get("values", {}),
            output=state.get("output"),
            attempt=0,
            wake=wake,
            idempotency_key="",
            ended=state.get("ended"),
            budget=self._budget,
        )

    async def _start(self, visit: Visit) -> Visit:
        """What the executor is given; that the node was started is on record before it does anything outside."""
        node, wake = visit.node, visit.wake
        counted = Visits(rounds=1, starts=0, failures=0)
        attempt = 0
        if self._works_outside(node) or is_handed_out(self._ref.workflow, node) or wake is not None:
            counted, attempt = await self._begin_attempt(node, wake)
        return replace(
            visit,
            attempt=attempt,
            wake=None if wake is not None and wake["kind"] == "retry" else wake,
            idempotency_key=f"{self._taken.execution_id.hex}:{node.node_id}:{counted.rounds}",
            interrupted=counted.starts > counted.failures,
        )

    def _works_outside(self, node: Node) -> bool:
        return works_outside(self._ref.workflow, node)

    async def _begin_attempt(self, node: Node, wake: Mapping[str, Any] | None) -> tuple[Visits, int]:
        """What there was before, and the attempt. One in which a worker died counts."""
        execution_id = self._taken.execution_id
        async with transaction(self._context.pool) as conn:
            await store.hold(conn, execution_id, self._taken.fence)
            counted = await store.count_visits(conn, execution_id, node.node_id)
            if not self._works_outside(node) or (wake is not None and wake["kind"] != "retry"):
                return counted, counted.failures
            attempt = max(counted.starts, counted.failures)
            started = Event("node_started", node.node_id, {"attempt": attempt, "worker_id": self._worker})
            await store.append_events(conn, execution_id, [started])
            return counted, attempt

    @property
    def _worker(self) -> str:
        return self._context.worker_id

    async def _outcome(self, visit: Visit) -> Outcome:
        """What becomes of the visit. A mistake in an executor costs the execution, not the worker.

        Raises `DatabaseUnavailable` and `ExecutionNotOurs`: then it is not this worker's to say.
        """
        asked = visit.node.timeout_seconds or visit.execution.workflow.timeouts.node_timeout
        seconds: float | None = min(asked or NODE_SECONDS, NODE_SECONDS)
        executor = self._context.executors[type(visit.node.kind)]
        if not self._works_outside(visit.node):
            seconds = None
        try:
            async with asyncio.timeout(seconds):
                with span(f"node {visit.node.kind.type}", {"node": visit.node.node_id}):
                    return cleaned(await executor(visit))
        except TimeoutError:
            longer = "too long" if seconds is None else f"longer than {seconds:g} seconds"
            return Failed(f"the node took {longer}", retryable=True, kind="timeout")
        except (DatabaseUnavailable, ExecutionNotOurs):
            raise
        except EvaluationTooLarge as error:
            return Failed(str(error))
        except Exception:
            logger.exception(
                "node failed, uncaught exception node_id=%s execution_id=%s",
                visit.node.node_id,
                self._taken.execution_id,
            )
            return Failed("internal error; the registry's log tells more")

    def _conclude(self, visit: Visit, outcome: Outcome, task_id: str, milliseconds: int) -> Command[str]:
        if isinstance(outcome, Failed):
            outcome = self._tried_again(visit, outcome)
        if isinstance(outcome, Completed):
            return self._completed(visit, outcome, task_id, milliseconds)
        node_id = visit.node.node_id
        update: RunState = {"wakes": {node_id: None}}
        if isinstance(outcome, Parked):
            # What another process is to do begins when that process takes it.
            begun = [] if outcome.kind == "work" else self._begun(visit)
            self._records[task_id] = Record([*begun, *outcome.events], parked=(visit.node, outcome))
            return Command(update=update)
        record = Record([*self._begun(visit), *outcome.events])
        self._records[task_id] = record
        if isinstance(outcome, LimitExceeded):
            update["ended"] = {"status": "limit_exceeded", "error": outcome.reason}
            return Command(update=update)
        record.events.append(_failed(visit, outcome, retryable=False))
        if outcome.goto is None:
            update["ended"] = {"status": "failed", "error": f"node {node_id}: {outcome.error}"}
            return Command(update=update)
        return self._leaving(visit, outcome.goto, None, update, record)

    def _completed(self, visit: Visit, outcome: Completed, task_id: str, milliseconds: int) -> Command[str]:
        node_id = visit.node.node_id
        cost_usd = float(outcome.usage.get("cost_usd") or 0)
        tokens = sum(int(outcome.usage.get(name) or 0) for name in ("input_tokens", "output_tokens"))
        self._cost_usd += cost_usd
        self._tokens += tokens
        change = visit.approved | Change(outcome.patch, outcome.removed)
        change |= Change(budget_patch(self._plan.workflow, self._cost_usd, self._tokens))
        self._lifetime.steps += 1
        record = Record(
            [*self._begun(visit), *outcome.events],
            change=change,
            steps=1,
            cost_usd=cost_usd,
            tokens=tokens,
        )
        if not outcome.recorded:
            patch = change.as_merge_patch
            data = {"output": outcome.output, "state_patch": patch, "duration_ms": milliseconds, **outcome.usage}
            record.events.append(Event("node_completed", node_id, data))
        self._records[task_id] = record
        values: Any = [change.patch, sorted(change.removed)] if change.removed else change.patch
        update: RunState = {"wakes": {node_id: None}, "values": values, "output": outcome.output}
        return self._leaving(visit, outcome.goto, outcome, update, record)

    def _leaving(
        self, visit: Visit, goto: str | None, outcome: Completed | None, update: RunState, record: Record
    ) -> Command[str]:
        scope = {
            "state": record.change.applied_to(visit.state),
            "output": outcome.output if outcome else None,
            "env": {},
        }
        try:
            decision = self._plan.leave(visit.node.node_id, scope, visit.budget, goto=goto)
        except EvaluationTooLarge as error:
            # What the node has done stays on record: only where to go from there cannot be said.
            record.events.append(_failed(visit, Failed(str(error)), retryable=False))
            update["ended"] = {"status": "failed", "error": f"node {visit.node.node_id}: {error}"}
            return Command(update=update)
        record.events += self._following(decision)
        update["marks"] = decision.marks
        names = [graph_name(name) for name in decision.ready]
        return Command(update=update, goto=[*names, SETTLE] if decision.undecided else names)

    def _tried_again(self, visit: Visit, failed: Failed) -> Outcome:
        delay = next_attempt_after(self._plan.workflow, visit.node, failed, visit.attempt)
        if delay is None:
            return failed
        again = Event(
            "retry_scheduled",
            visit.node.node_id,
            {"attempt": visit.attempt + 1, "delay_ms": round(1000 * delay.total_seconds())},
        )
        events = [*failed.events, _failed(visit, failed, retryable=True), again]
        return Parked("retry", {"attempt": visit.attempt + 1}, timeout=delay, events=events)

    def _begun(self, visit: Visit) -> list[Event]:
        """That a node was started, where it is not on record yet: a node that does nothing outside starts and
        ends in one transaction."""
        if self._works_outside(visit.node) or visit.wake is not None:
            return []
        return [Event("node_started", visit.node.node_id, {"attempt": 0, "worker_id": self._worker})]

    def _following(self, decision: Decision) -> list[Event]:
        skipped = [Event("node_skipped", name, {"reason": "branch not taken"}) for name in decision.skipped]
        scheduled = [
            Event("node_scheduled", name, {"queue_type": queue_type(self._plan.node(name))})
            for name in decision.ready
        ]
        return [*skipped, *scheduled]

    async def store_task(self, task_id: str, rows: CheckpointRows) -> None:
        record = self._records.get(task_id)
        if record is None:
            await self._store(Step(rows), takes_signals=task_id == NULL_TASK_ID)
            return
        try:
            await self._store(record.step(rows), record.parked)
        except BaseException as error:
            record.written.set_exception(error)
            record.written.exception()  # raised here as well: there may be nobody else who waits to hear of it
            raise
        record.written.set_result(None)
        del self._records[task_id]

    async def store_checkpoint(self, checkpoint: Checkpoint, rows: CheckpointRows) -> None:
        """It must not be there before everything of the step that it ends."""
        if written := [record.written for record in self._records.values()]:
            await asyncio.wait(written)  # not gathered: who is cancelled here takes none of them along
            for one in written:
                one.result()
        self._budget = EvaluationBudget()
        self._lifetime.check(rows)
        await self._store(Step(rows, state=checkpoint["channel_values"].get("values")), takes_signals=True)

    async def _store(
        self, step: Step, parked: tuple[Node, Parked] | None = None, *, takes_signals: bool = False
    ) -> None:
        """`takes_signals`: what signals have brought is in these rows, and the signals are needed no longer."""
        if takes_signals:
            step = replace(step, signals=self._consumed)
        self._lifetime.bytes_written += step.rows.size
        async with connection(self._context.pool) as conn:
            if parked is None:
                await store.record_step(conn, self._taken.execution_id, self._taken.fence, step)
            else:
                async with conn.transaction():
                    last = await store.record_step(conn, self._taken.execution_id, self._taken.fence, step)
                    await park(conn, self._context, self._ref, *parked, sequence=last)
        if takes_signals:
            self._consumed = []


def _failed(visit: Visit, failed: Failed, *, retryable: bool) -> Event:
    return Event(
        "node_failed",
        visit.node.node_id,
        {"error": failed.error, "attempt": visit.attempt, "retryable": retryable},
    )
