"""Which node comes next: the routes of a workflow, and what follows when a node is left. Pure, no input or output.

A node runs when it is known of every way into it whether it was taken, and at least one was; when none was, it is
skipped, and the ways out of it are not taken either. So ways that part at a condition meet again once, and so do
branches of unequal length. A way that leads back to a node that has led to it closes a loop: it runs that node
again, and forgets what had been decided in between.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from registry.workflows.evaluation_budget import EvaluationBudget
from registry.workflows.expressions import parse_expression
from registry.workflows.ir import END, Node, Route, Workflow
from registry.workflows.kinds import Join

Marks = Mapping[str, str]
"""What is decided so far at nodes with several ways into them: by way, and by node once it has run."""

_TAKEN, _NOT_TAKEN, _DONE = "taken", "not taken", "done"


@dataclass(frozen=True)
class Way:
    """One route of the workflow. `leads_back`: to a node that has led to it."""

    number: int
    route: Route
    leads_back: bool

    @property
    def key(self) -> str:
        return f"way {self.number}"


@dataclass
class Decision:
    """What follows when nodes are left. `undecided`: a node with several ways into it was reached, so it has to be
    looked at together with what else has been reached in the same step."""

    marks: dict[str, str | None] = field(default_factory=dict)
    ready: list[str] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    undecided: bool = False


class Plan:
    """The ways through a workflow."""

    def __init__(self, workflow: Workflow) -> None:
        self.workflow = workflow
        self.start = workflow.start_node
        ways = find_ways(workflow)
        self._out: dict[str, list[Way]] = {name: [] for name in workflow.nodes}
        self._into: dict[str, list[Way]] = {name: [] for name in workflow.nodes}
        for way in ways:
            self._out[way.route.source].append(way)
            if way.route.target != END and not way.leads_back:
                self._into[way.route.target].append(way)

    def node(self, node_id: str) -> Node:
        return self.workflow.nodes[node_id]

    def leave(
        self,
        node_id: str,
        scope: Mapping[str, Any],
        budget: EvaluationBudget | None = None,
        *,
        goto: str | None = None,
    ) -> Decision:
        """What follows when the node is left; `goto` is where its own outcome sends it instead of its routes.
        Raises `EvaluationTooLarge`."""
        taken = self._chosen(node_id, scope, budget) if goto is None else self._to(node_id, goto)
        decision = Decision()
        if goto is not None and goto != END and not taken and node_id in self._from(goto):
            # Back to a node that has led here: what lies ahead is decided the next time.
            self._forget(goto, decision)
            decision.ready.append(goto)
            return decision
        for way in self._out[node_id]:
            self._reach(way, way in taken, decision)
        if goto is not None and goto != END and not taken:
            decision.ready.append(goto)
        return decision

    def leads_somewhere(self, node_id: str, scope: Mapping[str, Any], budget: EvaluationBudget) -> bool:
        """Whether a way out of the node has a condition, and it holds."""
        return any(way.route.condition is not None for way in self._chosen(node_id, scope, budget))

    def settle(self, marks: Marks) -> Decision:
        """What can be decided now, at nodes with several routes into them."""
        decision = Decision()
        progress = True
        while progress:
            progress = False
            known = {**marks, **decision.marks}
            for node_id, ways in self._into.items():
                if len(ways) < 2 or known.get(_run(node_id)) == _DONE:
                    continue
                verdict = self._verdict(node_id, [known.get(way.key) for way in ways])
                if verdict is None:
                    continue
                decision.marks[_run(node_id)] = _DONE
                progress = True
                if verdict:
                    decision.ready.append(node_id)
                else:
                    self._skip(node_id, decision)
                break
        decision.undecided = False
        return decision

    def _verdict(self, node_id: str, marks: Sequence[str | None]) -> bool | None:
        """True: run it; False: skip it; None: not known yet."""
        kind = self.node(node_id).kind
        if isinstance(kind, Join) and kind.merge_strategy == "first" and _TAKEN in marks:
            return True
        if None in marks:
            return None
        return _TAKEN in marks

    def _reach(self, way: Way, taken: bool, decision: Decision) -> None:
        target = way.route.target
        if target == END:
            return
        if way.leads_back:
            if taken:
                self._forget(target, decision)
                decision.ready.append(target)
        elif len(self._into[target]) > 1:
            decision.marks[way.key] = _TAKEN if taken else _NOT_TAKEN
            decision.undecided = True
        elif taken:
            decision.ready.append(target)
        else:
            self._skip(target, decision)

    def _skip(self, node_id: str, decision: Decision) -> None:
        left = [node_id]
        while left:
            skipped = left.pop()
            decision.skipped.append(skipped)
            for way in self._out[skipped]:
                target = way.route.target
                if target == END or way.leads_back:
                    continue
                if len(self._into[target]) > 1:
                    decision.marks[way.key] = _NOT_TAKEN
                    decision.undecided = True
                else:
                    left.append(target)

    def _forget(self, node_id: str, decision: Decision) -> None:
        """What was decided from the node on, for the next round of a loop."""
        for name in self._from(node_id):
            decision.marks[_run(name)] = None
            decision.marks.update({way.key: None for way in self._out[name]})
        decision.marks[_run(node_id)] = _DONE  # it runs now, whatever led into it at first

    def _from(self, node_id: str) -> set[str]:
        """What lies ahead of the node, and the node itself. A way back leads to what lies behind."""
        found, left = {node_id}, [node_id]
        while left:
            for way in self._out[left.pop()]:
                target = way.route.target
                if target != END and not way.leads_back and target not in found:
                    found.add(target)
                    left.append(target)
        return found

    def _to(self, node_id: str, target: str) -> list[Way]:
        return [way for way in self._out[node_id] if way.route.target == target][:1]

    def _chosen(self, node_id: str, scope: Mapping[str, Any], budget: EvaluationBudget | None) -> list[Way]:
        """See `registry.workflows.ir.Route`."""
        regular = [way for way in self._out[node_id] if way.route.when in ("completed", "branch")]
        for way in regular:
            condition = way.route.condition
            if condition is not None and parse_expression(condition).holds(scope, budget):
                return [way]
        default = [way for way in regular if way.route.condition is None]
        return default[:1] if default and default[0].route.when == "branch" else default


def _run(node_id: str) -> str:
    """The key of the mark that says that the node has run."""
    return f"node {node_id}"


def find_ways(workflow: Workflow) -> list[Way]:
    """Return the routes of a workflow, with which of them lead back."""
    targets: dict[str, list[str]] = {name: [] for name in workflow.nodes}
    for route in workflow.routes:
        targets[route.source].append(route.target)
    back = _leading_back(workflow.start_node, targets)
    return [
        Way(number, route, (route.source, route.target) in back) for number, route in enumerate(workflow.routes)
    ]


def _leading_back(start: str, targets: Mapping[str, Iterable[str]]) -> set[tuple[str, str]]:
    """Walks through the graph in depth, without recursion: a workflow may be a chain of thousands of nodes."""
    found: set[tuple[str, str]] = set()
    seen, path, way = {start}, {start}, [(start, iter(targets[start]))]
    while way:
        node, rest = way[-1]
        for target in rest:
            if target in path:
                found.add((node, target))
            elif target != END and target not in seen:
                seen.add(target)
                path.add(target)
                way.append((target, iter(targets[target])))
                break
        else:
            way.pop()
            path.discard(node)
    return found
