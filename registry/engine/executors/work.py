"""Nodes whose function runs in a worker outside the registry, which asks for work (see `registry/work_items`)."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from registry.engine.mapping import resolve
from registry.engine.visits import Visit, kind_of
from registry.executions.events import Completed, Failed, Outcome, Parked
from registry.workflows.kinds import JavaFn, PythonFn


async def python_fn(visit: Visit) -> Outcome:
    kind = kind_of(visit, PythonFn)
    return _work(visit, "python_tool", {"module": kind.module, "function": kind.function}, kind.input)


async def java_fn(visit: Visit) -> Outcome:
    kind = kind_of(visit, JavaFn)
    return _work(visit, "java_tool", {"class": kind.class_name, "method": kind.method}, kind.input)


def offer(visit: Visit, queue_type: str, what: dict[str, Any], given: Any) -> Parked:
    """Waits for a worker of that queue. The lease of whoever takes it is at least the node's timeout: the older of
    JamJet's workers never renew it."""
    workflow = visit.execution.workflow
    seconds = visit.node.timeout_seconds or workflow.timeouts.node_timeout
    payload = {
        "workflow_id": workflow.workflow_id,
        "workflow_version": workflow.version,
        "node_id": visit.node.node_id,
        **what,
        "input": given,
    }
    detail = {
        "queue_type": queue_type,
        "payload": payload,
        "attempt": visit.attempt,
        "idempotency_key": visit.idempotency_key,
        "lease_seconds": seconds,
    }
    return Parked("work", detail, timeout=timedelta(seconds=seconds) if seconds else None)


def taken_back(visit: Visit) -> Outcome:
    """What the worker made of it."""
    assert visit.wake is not None
    if visit.wake["kind"] == "timeout":
        return Failed("no worker did it in time", retryable=True, kind="timeout")
    if "error" in visit.wake:
        return Failed(str(visit.wake["error"]), retryable=True)
    return Completed(output=visit.wake["output"], patch=visit.wake["state_patch"], recorded=True)


def _work(visit: Visit, queue_type: str, what: dict[str, Any], given: Mapping[str, Any]) -> Outcome:
    if visit.wake is not None:
        return taken_back(visit)
    # A function is called with the whole state, unless its node says with what.
    return offer(
        visit, queue_type, what, resolve(given, visit.scope, visit.budget) if given else dict(visit.state)
    )
