"""What runs a node: a function for each kind."""

from collections.abc import Mapping

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
from registry.workflows import kinds
from registry.workflows.parts import Part

EXECUTORS: Mapping[type[Part], Executor] = {
    kinds.Condition: flow.condition,
    kinds.Parallel: flow.pass_on,
    kinds.Join: flow.join,
    kinds.End: flow.pass_on,
    kinds.LimitExceeded: flow.limit_exceeded,
    kinds.HumanApproval: waiting.human_approval,
    kinds.Wait: waiting.wait,
    kinds.Subgraph: waiting.subgraph,
    kinds.PythonFn: work.python_fn,
    kinds.JavaFn: work.java_fn,
    kinds.Model: model.model,
    kinds.Eval: evaluation.evaluate,
    kinds.PolicyCheck: policy.policy_check,
    kinds.Tool: tools.tool,
    kinds.Finalizer: tools.finalizer,
    kinds.McpTool: mcp.mcp_tool,
    kinds.A2ATask: agents.a2a_task,
    kinds.AgentCall: agents.agent,
    kinds.AgentTool: agents.agent_tool,
    kinds.AgentDiscovery: coordinator.agent_discovery,
    kinds.Coordinator: coordinator.coordinator,
}
