"""Nodes that wait: for a person, for time, for an event from outside, for another execution."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from registry.engine.mapping import resolve
from registry.engine.visits import Visit, kind_of
from registry.executions.events import Completed, Event, Failed, Outcome, Parked
from registry.executions.merge_patch import Change, merging
from registry.workflows.kinds import HumanApproval, Subgraph, Wait


async def human_approval(visit: Visit) -> Outcome:
    """Waits for a decision. Rejected, it goes on where a condition on the decision leads, and fails otherwise."""
    kind = kind_of(visit, HumanApproval)
    node_id, wake = visit.node.node_id, visit.wake
    if wake is None:
        seconds = kind.timeout_secs or visit.execution.workflow.timeouts.approval_timeout
        raised = Event("interrupt_raised", node_id, {"kind": "human_approval", "description": kind.description})
        detail = {"tool_name": None, "approver": "human", "context": {"description": kind.description}}
        return Parked("approval", detail, timeout=_seconds(seconds), events=[raised])
    if wake["kind"] == "timeout":
        return Failed("timeout_exceeded: nobody decided in time", kind="timeout", goto=kind.fallback_node)
    return decided(visit)


def decided(visit: Visit) -> Completed | Failed:
    """What comes of the decision that the node has waited for."""
    wake = visit.wake
    assert wake is not None
    change = merging(visit.state, wake["state_patch"]) | Change({"decision": wake["decision"]})
    if wake["decision"] == "rejected" and not _is_expected(visit, change):
        comment = f": {wake['comment']}" if wake["comment"] else ""
        return Failed(f"approval rejected by {wake['user_id']}{comment}")
    output = {"decision": wake["decision"], "comment": wake["comment"]}
    return Completed(output, change.patch, removed=change.removed)


async def wait(visit: Visit) -> Outcome:
    """Waits for time, an event from outside, or whichever comes first."""
    kind = kind_of(visit, Wait)
    wake = visit.wake
    if wake is None:
        timer = Event("timer_created", visit.node.node_id, {"seconds": kind.timeout_secs})
        events = [timer] if kind.timeout_secs is not None else []
        timeout = _seconds(kind.timeout_secs)
        if kind.condition == "timer":
            return Parked("timer", timeout=timeout or timedelta(), events=events)
        return Parked("event", correlation_key=kind.correlation_key, timeout=timeout, events=events)
    if wake["kind"] == "event":
        change = merging(visit.state, wake["payload"])
        return Completed(wake["payload"], change.patch, removed=change.removed)
    if kind.condition == "external_event":
        return Failed("no event came in time", kind="timeout")
    return Completed(output={"timer": "fired"})


async def subgraph(visit: Visit) -> Outcome:
    """Another execution, whose result is mapped into this one's state."""
    kind = kind_of(visit, Subgraph)
    wake = visit.wake
    if wake is None:
        given = (
            resolve(dict(kind.input_mapping), visit.scope, visit.budget)
            if kind.input_mapping
            else dict(visit.state)
        )
        detail = {"workflow_ref": kind.workflow_ref, "workflow_version": kind.workflow_version, "input": given}
        return Parked("child", detail, timeout=_seconds(visit.node.timeout_seconds))
    if wake["kind"] == "timeout":
        return Failed("the subgraph took too long", kind="timeout")
    if wake["status"] != "completed":
        return Failed(f"the subgraph {kind.workflow_ref} ended as {wake['status']}: {wake['error']}")
    child: Mapping[str, Any] = wake["state"]
    if not kind.output_mapping:
        return Completed(output=child, patch=child)
    patch = {ours: child.get(theirs) for theirs, ours in kind.output_mapping.items()}
    return Completed(output=patch, patch=patch)


def _is_expected(visit: Visit, change: Change) -> bool:
    """Whether a conditional way out of the node is meant for this decision."""
    decided = {"decision": change.patch["decision"]}
    scope = {"state": change.applied_to(visit.state), "output": decided, "env": {}}
    return visit.plan.leads_somewhere(visit.node.node_id, scope, visit.budget)


def _seconds(seconds: float | None) -> timedelta | None:
    return None if seconds is None else timedelta(seconds=seconds)
