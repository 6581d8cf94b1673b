"""Whether a node may be run: what policies forbid is not done, and what they want to be approved waits for it."""

from dataclasses import replace
from datetime import timedelta

from groundwork.postgres.pool import Pool, connection
from registry.agents import store as agents
from registry.agents.cards import describe_card
from registry.agents.store import AgentKey
from registry.engine.executors.policy import load_policies
from registry.engine.mapping import resolve
from registry.engine.policies import BadPolicy, Policies, Verdict, tool_name, tool_verdict, violation_event
from registry.engine.visits import Visit
from registry.errors import NotFound
from registry.executions import store
from registry.executions.events import Event, Failed, Parked
from registry.executions.merge_patch import merging
from registry.executions.models import StoredEvent
from registry.workflows.kinds import AgentCall, AgentTool, Finalizer

_UNDER_WAY = ("work", "event")
"""What wakes a node that was let through before."""


async def guard(visit: Visit, pool: Pool) -> Visit | Parked | Failed:
    """The visit, when the node may be run: with the state as whoever approved of it wanted it to be.

    A decision counts until the node is scheduled again: a retry asks nobody anew.
    """
    name = tool_name(visit.node.kind)
    if name is None or _does_nothing(visit):
        return visit
    waking = visit.wake["kind"] if visit.wake is not None else None
    if waking == "timeout" and visit.wake is not None and "approver" in visit.wake:
        return Failed("timeout_exceeded: nobody decided in time", kind="timeout")
    if waking in _UNDER_WAY or waking == "timeout":
        return _approved(visit, await _find_decision(visit, pool))
    try:
        verdict = await _verdict(visit, pool, name)
    except BadPolicy as error:
        return Failed(f"a policy of the tenant cannot be used: {error}")
    if verdict.decision == "blocked":
        violation = violation_event(visit.node.node_id, verdict)
        return Failed(f"policy violation: {verdict.reason}", events=[violation])
    decision = await _find_decision(visit, pool) if verdict.rule or waking == "approval" else None
    if decision is None:
        return _asking(visit, name, verdict) if verdict.rule else visit
    if decision.data["decision"] == "rejected":
        comment = f": {decision.data['comment']}" if decision.data["comment"] else ""
        return Failed(f"approval rejected by {decision.data['user_id']}{comment}")
    return replace(_approved(visit, decision), wake=None)


def _does_nothing(visit: Visit) -> bool:
    """A finalizer for failures is passed by where all goes well."""
    kind = visit.node.kind
    return isinstance(kind, Finalizer) and kind.run_on == "failure" and visit.ended is None


async def _verdict(visit: Visit, pool: Pool, name: str) -> Verdict:
    policies = await load_policies(visit, pool)
    found = [tool_verdict(policies, each) for each in await _names(visit, pool, policies, name)]
    blocked = [verdict for verdict in found if verdict.decision == "blocked"]
    return next(iter([*blocked, *(verdict for verdict in found if verdict.rule), *found]))


async def _names(visit: Visit, pool: Pool, policies: Policies, name: str) -> list[str]:
    """What policies may call it: a registered agent goes by its id and by its URI, however the node names it."""
    if not isinstance(visit.node.kind, AgentCall | AgentTool) or not any(policies.by_scope()):
        return [name]
    named = resolve(name, visit.scope, visit.budget)
    if not isinstance(named, str):
        return [name]
    tenant_id = visit.execution.tenant_id
    async with connection(pool) as conn:
        agent_id = await agents.find_agent_at(conn, tenant_id, named) or named
        try:
            agent = await agents.get_agent(conn, AgentKey(tenant_id, agent_id))
        except NotFound:
            return [named]
    return [named, agent.agent_id, describe_card(agent.card)["uri"] or named]


async def _find_decision(visit: Visit, pool: Pool) -> StoredEvent | None:
    execution_id, nodes = visit.execution.execution_id, [visit.node.node_id]
    async with connection(pool) as conn:
        decided = await store.find_last_event(conn, execution_id, "approval_received", nodes)
        scheduled = await store.find_last_event(conn, execution_id, "node_scheduled", nodes)
    if decided is None or (scheduled is not None and scheduled.sequence > decided.sequence):
        return None
    return decided


def _approved(visit: Visit, decision: StoredEvent | None) -> Visit:
    given = decision.data["state_patch"] if decision is not None else None
    if not given:
        return visit
    change = merging(visit.state, given)
    return replace(visit, state=change.applied_to(visit.state), approved=change)


def _asking(visit: Visit, name: str, verdict: Verdict) -> Parked:
    context = {
        "description": verdict.reason,
        "input": resolve(getattr(visit.node.kind, "input_mapping", {}), visit.scope, visit.budget),
        "rule": verdict.rule,
        "policy_scope": verdict.scope,
    }
    detail = {"tool_name": name, "approver": "human", "context": context}
    seconds = visit.execution.workflow.timeouts.approval_timeout
    timeout = None if seconds is None else timedelta(seconds=seconds)
    required = Event("tool_approval_required", visit.node.node_id, detail)
    return Parked("approval", detail, timeout=timeout, events=[required])
