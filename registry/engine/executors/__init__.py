"""What runs a node: a function for each kind, given what it works with."""

from collections.abc import Mapping
from functools import partial

from groundwork.postgres.pool import Pool
from registry.engine.executors import (
    agents,
    coordinator,
    evaluation,
    flow,
    mcp,
    model,
    policy,
    tools,
    waiting,
    work,
)
from registry.engine.visits import Executor
from registry.outbound.clients import OutboundClients
from registry.outbound.models import Models
from registry.workflows import kinds
from registry.workflows.parts import Part


def build_executors(pool: Pool, models: Models, outbound: OutboundClients) -> Mapping[type[Part], Executor]:
    """Return what runs the nodes of each kind, with what it needs to do so."""
    return {
        kinds.Condition: flow.condition,
        kinds.Parallel: flow.pass_on,
        kinds.Join: partial(flow.join, pool=pool),
        kinds.End: flow.pass_on,
        kinds.LimitExceeded: flow.limit_exceeded,
        kinds.HumanApproval: waiting.human_approval,
        kinds.Wait: waiting.wait,
        kinds.Subgraph: waiting.subgraph,
        kinds.PythonFn: work.python_fn,
        kinds.JavaFn: work.java_fn,
        kinds.Model: partial(model.model, pool=pool, models=models),
        kinds.Eval: partial(evaluation.evaluate, pool=pool, models=models),
        kinds.PolicyCheck: partial(policy.policy_check, pool=pool),
        kinds.Tool: partial(tools.tool, outbound=outbound),
        kinds.Finalizer: partial(tools.finalizer, outbound=outbound),
        kinds.McpTool: partial(mcp.mcp_tool, outbound=outbound),
        kinds.A2ATask: partial(agents.a2a_task, pool=pool, outbound=outbound),
        kinds.AgentCall: partial(agents.agent, pool=pool, outbound=outbound),
        kinds.AgentTool: partial(agents.agent_tool, pool=pool, outbound=outbound),
        kinds.AgentDiscovery: partial(coordinator.agent_discovery, pool=pool),
        kinds.Coordinator: partial(coordinator.coordinator, pool=pool, models=models),
    }
