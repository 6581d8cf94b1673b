"""A visit of a node: what its executor is given, and what may come of it."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from registry.engine.plan import Plan
from registry.executions.events import ExecutionRef, Outcome
from registry.executions.merge_patch import Change
from registry.workflows.evaluation_budget import EvaluationBudget
from registry.workflows.ir import Node
from registry.workflows.parts import Part


@dataclass(frozen=True)
class Visit:
    """A node is being run. `attempt` counts from 0; `wake` is what the node has waited for, None at first.

    `idempotency_key` is the same for every attempt at this visit, so that whoever is asked to do something can
    tell whether it was done already. `interrupted`: a worker died over an attempt before, and nobody knows how far
    it had come. `ended` is how the execution has ended, for finalizers. `approved` is what whoever approved of the
    node has changed in the state. `budget` is shared by all visits of a step.
    """

    execution: ExecutionRef
    plan: Plan
    node: Node
    state: Mapping[str, Any]
    output: Any
    attempt: int
    wake: Mapping[str, Any] | None
    idempotency_key: str
    interrupted: bool = False
    ended: Mapping[str, Any] | None = None
    approved: Change = field(default_factory=Change)
    budget: EvaluationBudget = field(default_factory=EvaluationBudget)

    @property
    def scope(self) -> dict[str, Any]:
        """What expressions and mappings of the node can refer to."""
        return {"state": self.state, "output": self.output, "env": {}}


Executor = Callable[[Visit], Awaitable[Outcome]]
SomeKind = TypeVar("SomeKind", bound=Part)


def kind_of(visit: Visit, kind: type[SomeKind]) -> SomeKind:
    """The node's kind, which the table of executors has chosen the executor by."""
    found = visit.node.kind
    assert isinstance(found, kind)
    return found
