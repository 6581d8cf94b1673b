"""Which kinds of nodes do something outside the registry, and what their queue is called."""

from collections.abc import Mapping

from registry.workflows import kinds
from registry.workflows.ir import Node, Workflow
from registry.workflows.parts import Part

_OUTSIDE: Mapping[type[Part], str] = {
    kinds.Model: "model",
    kinds.Tool: "tool",
    kinds.Finalizer: "tool",
    kinds.McpTool: "tool",
    kinds.A2ATask: "tool",
    kinds.AgentCall: "general",
    kinds.AgentTool: "general",
    kinds.Coordinator: "general",
    kinds.Eval: "general",
}
"""Their start is on record before they begin, and their time is bounded."""

_OTHERS_WORK: Mapping[type[Part], str] = {kinds.PythonFn: "python_tool", kinds.JavaFn: "java_tool"}


def works_outside(workflow: Workflow, node: Node) -> bool:
    return type(node.kind) in _OUTSIDE and not is_handed_out(workflow, node)


def is_handed_out(workflow: Workflow, node: Node) -> bool:
    """Whether a function of the user's own is called, which a worker outside the registry does."""
    if isinstance(node.kind, kinds.Tool | kinds.Finalizer):
        tool = workflow.tools.get(node.kind.tool_ref)
        return tool is not None and tool.kind == "python"
    if isinstance(node.kind, kinds.Join):
        return node.kind.custom is not None
    return type(node.kind) in _OTHERS_WORK


def queue_type(node: Node) -> str:
    """As JamJet's runtime names the queues."""
    return _OUTSIDE.get(type(node.kind)) or _OTHERS_WORK.get(type(node.kind)) or "general"
