"""A workflow as a LangGraph `StateGraph`: one node for each of its nodes, and one for where ways meet."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Protocol, TypedDict

from langgraph.graph import START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import Runtime
from langgraph.types import Command

from registry.engine.plan import Plan
from registry.executions.merge_patch import Change

SETTLE = "settle"
"""The LangGraph node that decides about nodes with several routes into them, once a step is over."""


def _changed(before: dict[str, Any], after: Mapping[str, Any] | Sequence[Any]) -> dict[str, Any]:
    """`after` is new values by their keys, or these and a list of the keys to be removed: nothing among the values
    could stand for what is gone, since a state may hold anything that JSON can."""
    if isinstance(after, Mapping):
        return {**before, **after}
    patch, removed = after
    return Change(patch, frozenset(removed)).applied_to(before)


def _replace_and_drop(before: dict[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in {**before, **after}.items() if value is not None}


def _latest(before: Any, after: Any) -> Any:
    return after


def _first(before: Any, after: Any) -> Any:
    return after if before is None else before


class RunState(TypedDict, total=False):
    """What the graph carries from step to step. `values` is the state of the execution, the rest is ours."""

    values: Annotated[dict[str, Any], _changed]
    marks: Annotated[dict[str, str | None], _replace_and_drop]
    wakes: Annotated[dict[str, Any], _replace_and_drop]
    output: Annotated[Any, _latest]
    ended: Annotated[dict[str, Any] | None, _first]


class Runner(Protocol):
    """Whoever runs the graph: it visits the nodes, and says where to go from them."""

    async def visit(self, node_id: str, state: RunState, task_id: str) -> Command[str]: ...
    async def settle(self, state: RunState, task_id: str) -> Command[str]: ...


@dataclass(frozen=True)
class RunContext:
    """What the nodes are given with each run: who travels."""

    runner: Runner


CompiledGraph = CompiledStateGraph[RunState, RunContext, RunState, RunState]


def compile_graph(plan: Plan) -> CompiledGraph:
    """The graph of a plan, without a checkpointer: each run gets one of its own."""
    builder = StateGraph(RunState, context_schema=RunContext)
    for node_id in plan.workflow.nodes:
        builder.add_node(graph_name(node_id), _visiting(node_id))
    builder.add_node(SETTLE, _settling)
    builder.add_edge(START, graph_name(plan.start))
    return builder.compile()


def graph_name(node_id: str) -> str:
    """What LangGraph calls the node: it keeps two characters, and some names, for itself."""
    return "node " + node_id.replace("%", "%25").replace(":", "%3A").replace("|", "%7C")


def _visiting(node_id: str) -> Callable[..., Awaitable[Command[str]]]:
    async def visit(state: RunState, runtime: Runtime[RunContext]) -> Command[str]:
        return await runtime.context.runner.visit(node_id, state, _task_id(runtime))

    return visit


async def _settling(state: RunState, runtime: Runtime[RunContext]) -> Command[str]:
    return await runtime.context.runner.settle(state, _task_id(runtime))


def _task_id(runtime: Runtime[RunContext]) -> str:
    assert runtime.execution_info is not None
    return runtime.execution_info.task_id
