"""Nodes that look at what the node before them gave, and say whether it is good enough."""

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from typing import Any

from groundwork.postgres.pool import Pool, connection
from registry.engine import policies as rules
from registry.engine.executors.model import FEEDBACK, FEEDBACK_FOR
from registry.engine.executors.policy import load_policies
from registry.engine.executors.scoring import Evaluation, Result, score
from registry.engine.executors.waiting import decided
from registry.engine.policies import BadPolicy
from registry.engine.visits import Visit, kind_of
from registry.executions import store
from registry.executions.events import Completed, Event, Failed, Outcome, Parked
from registry.executions.models import StoredEvent
from registry.outbound.model_calls import ModelCallFailed
from registry.outbound.models import Models
from registry.workflows import kinds
from registry.workflows.expressions import parse_expression
from registry.workflows.kinds import Eval

_PASSING_ON = (kinds.Condition, kinds.Parallel, kinds.Join)


async def evaluate(visit: Visit, pool: Pool, models: Models) -> Outcome:
    """All scorers have to pass; `on_fail` says what comes of it otherwise. Unless that is `halt`, the results are
    in the state as `eval_passed`, `eval_action` and `eval_results`."""
    if visit.wake is not None:
        return await _escalated(visit, pool)
    kind = kind_of(visit, Eval)
    if refusal := await _refusal(visit, pool, kind):
        return refusal
    before = await _completion_before(visit, pool)
    evaluation = Evaluation(visit, _subject(visit, kind), before)
    try:
        results = [await score(evaluation, models, scorer) for scorer in kind.scorers]
    except ModelCallFailed as error:
        return error.outcome()
    if all(result.passed for result in results):
        patch = {**_patch(results, "continue"), **_forgotten(visit)}
        return Completed(output=_output(kind, results), patch=patch, usage=evaluation.usage)
    return _failed(evaluation, kind, results)


async def _refusal(visit: Visit, pool: Pool, kind: Eval) -> Failed | None:
    for scorer in kind.scorers:
        if isinstance(scorer, kinds.CustomScorer):
            return Failed(f"the scorer {scorer.module} is Python code, which the registry does not run")
    judges = [scorer.model for scorer in kind.scorers if isinstance(scorer, kinds.LlmJudge)]
    if not judges:
        return None
    try:
        policies = await load_policies(visit, pool)
    except BadPolicy as error:
        return Failed(str(error))
    for name in judges:
        verdict = rules.model_allowed(policies, rules.model_id(visit.execution.workflow, name))
        if verdict.decision == "blocked":
            return Failed(verdict.reason, events=[rules.violation_event(visit.node.node_id, verdict)])
    return None


def _subject(visit: Visit, kind: Eval) -> Any:
    return (
        visit.output
        if kind.input_expr is None
        else parse_expression(kind.input_expr).value(visit.scope, visit.budget)
    )


async def _completion_before(visit: Visit, pool: Pool) -> StoredEvent | None:
    """How the node before this one ended; of several the one that was last."""
    target = visit.node.node_id
    sources = [route.source for route in visit.execution.workflow.routes if route.target == target]
    async with connection(pool) as conn:
        return await store.find_last_event(conn, visit.execution.execution_id, "node_completed", sources)


def _failed(evaluation: Evaluation, kind: Eval, results: Sequence[Result]) -> Outcome:
    visit = evaluation.visit
    reasons = "; ".join(f"{result.scorer}: {result.message}" for result in results if not result.passed)
    patch = _patch(results, kind.on_fail)
    done = Completed(output=_output(kind, results), patch=patch, usage=evaluation.usage)
    match kind.on_fail:
        case "halt":
            return Failed(f"the evaluation failed: {reasons}")
        case "escalate" if not _asks_somebody(visit):
            return _asking(visit, done, reasons)
        case "retry_with_feedback":
            return _once_more(evaluation, kind, done, reasons)
    return done


def _once_more(evaluation: Evaluation, kind: Eval, done: Completed, reasons: str) -> Completed:
    """Back to the node before, at most `max_retries` times; then on, with `eval_passed` as it is."""
    visit, before = evaluation.visit, evaluation.before
    tried = visit.state.get(_counter(visit))
    tried = tried if isinstance(tried, int) else 0
    if before is None or before.node_id is None or tried >= kind.max_retries:
        return replace(done, patch={**done.patch, **_forgotten(visit)})
    feedback = f"Your last answer was not good enough. {reasons}. Do it again, and better."
    retry = {FEEDBACK: feedback, FEEDBACK_FOR: before.node_id, _counter(visit): tried + 1}
    return replace(done, patch={**done.patch, **retry}, goto=before.node_id)


def _counter(visit: Visit) -> str:
    """The key of the state with how often this evaluation has sent the run back."""
    return f"__{visit.node.node_id}_retries__"


def _forgotten(visit: Visit) -> dict[str, Any]:
    """The next time that the run comes here is not the same."""
    if not visit.state.get(_counter(visit)):
        return {}
    return {FEEDBACK: None, FEEDBACK_FOR: None, _counter(visit): 0}


def _asks_somebody(visit: Visit) -> bool:
    """Whether the workflow itself has an approval for this case: right behind, or behind a condition."""
    workflow, seen, left = visit.execution.workflow, {visit.node.node_id}, [visit.node.node_id]
    while left:
        source = left.pop()
        targets = {route.target for route in workflow.routes if route.source == source}
        for node in (workflow.nodes[name] for name in targets & workflow.nodes.keys() - seen):
            if isinstance(node.kind, kinds.HumanApproval):
                return True
            seen.add(node.node_id)
            if isinstance(node.kind, _PASSING_ON):
                left.append(node.node_id)
    return False


def _asking(visit: Visit, done: Completed, reasons: str) -> Parked:
    """The event keeps the results: a judge is not asked again when the decision comes."""
    description = f"The evaluation failed: {reasons}"
    results = {"output": done.output, "patch": dict(done.patch), "usage": dict(done.usage)}
    raised = Event(
        "interrupt_raised",
        visit.node.node_id,
        {"kind": "evaluation", "description": description, "evaluation": results},
    )
    seconds = visit.execution.workflow.timeouts.approval_timeout
    detail = {"tool_name": None, "approver": "human", "context": {"description": description}}
    timeout = None if seconds is None else timedelta(seconds=seconds)
    return Parked("approval", detail, timeout=timeout, events=[raised])


async def _escalated(visit: Visit, pool: Pool) -> Outcome:
    assert visit.wake is not None
    if visit.wake["kind"] == "timeout":
        return Failed("timeout_exceeded: nobody decided in time", kind="timeout")
    outcome = decided(visit)
    if isinstance(outcome, Failed):
        return outcome
    async with connection(pool) as conn:
        raised = await store.find_last_event(
            conn, visit.execution.execution_id, "interrupt_raised", [visit.node.node_id]
        )
    assert raised is not None
    kept = raised.data["evaluation"]
    return replace(outcome, output=kept["output"], patch={**kept["patch"], **outcome.patch}, usage=kept["usage"])


def _patch(results: Sequence[Result], action: str) -> dict[str, Any]:
    return {
        "eval_passed": all(result.passed for result in results),
        "eval_action": action,
        "eval_results": [asdict(result) for result in results],
    }


def _output(kind: Eval, results: Sequence[Result]) -> dict[str, Any]:
    return {
        "passed": all(result.passed for result in results),
        "scorers": [asdict(result) for result in results],
        "on_fail": kind.on_fail,
        "max_retries": kind.max_retries,
    }
