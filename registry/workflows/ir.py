"""A workflow as it was read from its IR: complete, consistent, and never changed.

`registry.workflows.validation.read_workflow` makes it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal

from pydantic import Field

from registry.workflows.kinds import A2ATask, Condition, End, HumanApproval, Join, Kind, Parallel, PolicyCheck
from registry.workflows.parts import Expression, Name, Part
from registry.workflows.specs import (
    BUILTIN_RETRIES,
    DEFAULT_RETRIES,
    DataPolicy,
    McpServerSpec,
    ModelSpec,
    Policy,
    RemoteAgentSpec,
    RetryPolicy,
    StrategyLimits,
    Timeouts,
    TokenBudget,
    ToolSpec,
)

END = "end"
"""Where a path ends: the target of edges, and never a node."""


class Edge(Part):
    source: Annotated[Name, Field(alias="from")]
    target: Annotated[Name, Field(alias="to")]
    condition: Expression | None = None


@dataclass(frozen=True)
class Node:
    node_id: str
    kind: Kind
    retry_policy: str | None
    timeout_seconds: float | None
    description: str
    labels: Mapping[str, str]
    policy: Policy | None


When = Literal["completed", "branch", "timed_out", "violated", "input_required"]


@dataclass(frozen=True)
class Route:
    """A way from a node to another, or to `END`, and when it is taken.

    `completed`: along an edge. Of a node's routes with a condition the first whose condition holds is taken, else
    all those without one. `branch`: a condition's; the first whose condition holds, else the first without one.
    The others are taken instead of all these: `timed_out` when nobody has approved in time, `violated` when a
    policy is, `input_required` when an agent asks for more.
    """

    source: str
    target: str
    when: When = "completed"
    condition: str | None = None


@dataclass(frozen=True)
class Workflow:
    workflow_id: str
    version: str
    name: str
    description: str
    start_node: str
    nodes: Mapping[str, Node]
    edges: tuple[Edge, ...]
    retry_policies: Mapping[str, RetryPolicy]
    models: Mapping[str, ModelSpec]
    tools: Mapping[str, ToolSpec]
    mcp_servers: Mapping[str, McpServerSpec]
    remote_agents: Mapping[str, RemoteAgentSpec]
    timeouts: Timeouts
    labels: Mapping[str, str]
    policy: Policy | None
    token_budget: TokenBudget
    cost_budget_usd: float | None
    on_budget_exceeded: str | None
    data_policy: DataPolicy | None
    strategy_limits: StrategyLimits

    @cached_property
    def routes(self) -> tuple[Route, ...]:
        """All ways between the nodes that a run can reach, in the order in which they are to be tried."""
        return tuple(route for route in self._all_routes if route.source in self.reachable)

    @cached_property
    def reachable(self) -> frozenset[str]:
        """The nodes that a run can come to. The others are part of the document, and never run."""
        return _reachable(self.start_node, self._all_routes)

    @cached_property
    def _all_routes(self) -> tuple[Route, ...]:
        return tuple(routes_between(self.nodes, self.edges))

    def retries_of(self, node: Node) -> RetryPolicy:
        if node.retry_policy is None:
            return DEFAULT_RETRIES
        return self.retry_policies.get(node.retry_policy) or BUILTIN_RETRIES[node.retry_policy]


def routes_between(nodes: Mapping[str, Node], edges: Iterable[Edge]) -> list[Route]:
    """All ways that nodes and edges make, whether a run can come there or not."""
    leaving: dict[str, list[Route]] = defaultdict(list)
    for edge in edges:
        leaving[edge.source].append(Route(edge.source, edge.target, condition=edge.condition))
    routes = [route for node in nodes.values() for route in _routes_of(node, leaving[node.node_id])]
    known = {(route.source, route.target) for route in routes}
    for node in nodes.values():
        if isinstance(node.kind, Join):
            awaited = [(source, node.node_id) for source in dict.fromkeys(node.kind.wait_for)]
            routes += [Route(*pair) for pair in awaited if pair not in known]
    return routes


def _routes_of(node: Node, along_edges: Iterable[Route]) -> Iterator[Route]:
    match node.kind:
        case Condition(branches=branches) if branches:
            # Its edges say the same again, or, where the source had no `next`, lead to the end.
            yield from (Route(node.node_id, each.target, "branch", each.condition) for each in branches)
        case End():
            yield Route(node.node_id, END)
        case Parallel(branches=branches):
            direct = [Route(node.node_id, target) for target in branches]
            yield from dict.fromkeys([*direct, *along_edges])
        case PolicyCheck(branch=branch) if branch:
            # Documents have an edge to the branch too, which is not to be taken in any case.
            beside = Route(node.node_id, branch.target)
            yield from (route for route in along_edges if route != beside)
            yield Route(node.node_id, branch.target, "violated")
        case HumanApproval(fallback_node=str(target)):
            yield from along_edges
            yield Route(node.node_id, target, "timed_out")
        case A2ATask(on_input_required=str(target)):
            yield from along_edges
            yield Route(node.node_id, target, "input_required")
        case _:
            yield from along_edges


def _reachable(start_node: str, routes: Iterable[Route]) -> frozenset[str]:
    targets: dict[str, list[str]] = defaultdict(list)
    for route in routes:
        targets[route.source].append(route.target)
    found, waiting = {start_node}, [start_node]
    while waiting:
        new = [target for target in targets[waiting.pop()] if target != END and target not in found]
        found.update(new)
        waiting += new
    return frozenset(found)
