"""Nodes that ask whether what comes after them is allowed, and what the policies of a node are."""

from collections.abc import Iterator, Mapping
from typing import Any

from groundwork.postgres.pool import Pool, connection
from registry.engine.policies import (
    BadPolicy,
    Policies,
    Verdict,
    read_policy,
    violation_event,
    violations,
)
from registry.engine.visits import Visit, kind_of
from registry.executions.events import Completed, Failed, Outcome
from registry.tenants import store as tenants
from registry.workflows.ir import END, Node, Workflow
from registry.workflows.kinds import PolicyCheck
from registry.workflows.specs import Policy


async def load_policies(visit: Visit, pool: Pool) -> Policies:
    """The policies that the node is under. Raises `BadPolicy`."""
    workflow = visit.execution.workflow
    return Policies(read_policy(await _tenant_policy(visit, pool)), workflow.policy, visit.node.policy)


async def policy_check(visit: Visit, pool: Pool) -> Outcome:
    """Looks ahead: whether a tool, agent or model of a node that may come after this one is blocked, by the
    policies that hold anyway, or by the one that `policy_ref` names among the tenant's `policies`."""
    kind = kind_of(visit, PolicyCheck)
    try:
        found = [
            (node.node_id, verdict)
            for node, policies in await _ahead_with_policies(visit, pool, kind.policy_ref)
            for verdict in violations(policies, visit.execution.workflow, node)
        ]
    except BadPolicy as error:
        return Failed(f"a policy of the tenant cannot be used: {error}")
    events = [violation_event(visit.node.node_id, verdict) for _, verdict in found]
    output = {"passed": not found, "violations": [_shown(node_id, verdict) for node_id, verdict in found]}
    if found and kind.on_violation == "fail":
        reasons = "; ".join(f"node {node_id}: {verdict.reason}" for node_id, verdict in found)
        return Failed(f"policy violation: {reasons}", events=events)
    target = kind.branch.target if found and kind.branch is not None else None
    return Completed(output=output, goto=target, events=events)


async def _ahead_with_policies(visit: Visit, pool: Pool, policy_ref: str) -> list[tuple[Node, Policies]]:
    workflow, document = visit.execution.workflow, await _tenant_policy(visit, pool)
    nodes = nodes_ahead(workflow, visit.node.node_id)
    if policy_ref:
        named = Policies(tenant=_named_policy(document, policy_ref))
        return [(node, named) for node in nodes]
    tenant = read_policy(document)
    return [(node, Policies(tenant, workflow.policy, node.policy)) for node in nodes]


def nodes_ahead(workflow: Workflow, node_id: str) -> Iterator[Node]:
    """The nodes that a run may come to from there, unless a policy is violated."""
    found, left = {node_id, END}, [node_id]
    while left:
        source = left.pop()
        for route in workflow.routes:
            beside = route.source == node_id and route.when == "violated"
            if route.source == source and not beside and route.target not in found:
                found.add(route.target)
                left.append(route.target)
                yield workflow.nodes[route.target]


def _named_policy(document: Mapping[str, Any], name: str) -> Policy:
    named = document.get("policies")
    if not isinstance(named, Mapping) or not isinstance(named.get(name), Mapping):
        raise BadPolicy(f"there is none called {name!r} among its policies")
    return read_policy(named[name])


async def _tenant_policy(visit: Visit, pool: Pool) -> Mapping[str, Any]:
    async with connection(pool) as conn:
        return (await tenants.get_tenant(conn, None, visit.execution.tenant_id)).policy


def _shown(node_id: str, verdict: Verdict) -> dict[str, str]:
    return {"node_id": node_id, "rule": verdict.rule, "policy_scope": verdict.scope, "reason": verdict.reason}
