"""What runs a node: a function for each kind."""

from collections.abc import Mapping

from registry.engine.executors import evaluation, flow, model, policy, waiting, work
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
}
