"""Nodes that only say where to go on: their work is done by the plan."""

from groundwork.postgres.pool import Pool, connection
from registry.engine.executors.work import offer, taken_back
from registry.engine.visits import Visit, kind_of
from registry.executions import store
from registry.executions.events import Completed, LimitExceeded, Outcome
from registry.workflows import kinds
from registry.workflows.expressions import parse_expression
from registry.workflows.ir import Route


async def pass_on(visit: Visit) -> Outcome:
    """`parallel` and `end`."""
    return Completed()


async def join(visit: Visit, pool: Pool) -> Outcome:
    """What the branches gave, by their nodes. With a merge function of its own, a worker makes something of it."""
    kind = kind_of(visit, kinds.Join)
    if visit.wake is not None:
        return taken_back(visit)
    sources = sorted({route.source for route in visit.execution.workflow.routes if _leads_to(route, visit)})
    async with connection(pool) as conn:
        results = await store.list_outputs(conn, visit.execution.execution_id, sources)
    if kind.custom is None:
        return Completed(output={"results": results})
    function = {"module": kind.custom.module, "function": kind.custom.function}
    return offer(visit, "python_tool", function, {"results": results})


def _leads_to(route: Route, visit: Visit) -> bool:
    return route.target == visit.node.node_id


async def condition(visit: Visit) -> Outcome:
    """The chosen branch is in the output for whoever reads the events; the plan chooses by the same rules."""
    branches = kind_of(visit, kinds.Condition).branches
    if not branches:
        return Completed()
    holding = [
        one
        for one in branches
        if one.condition and parse_expression(one.condition).holds(visit.scope, visit.budget)
    ]
    chosen = [*holding, *(one for one in branches if one.condition is None)][:1]
    return Completed(
        output={
            "chosen_target": chosen[0].target if chosen else None,
            "branch_targets": [branch.target for branch in branches],
        }
    )


async def limit_exceeded(visit: Visit) -> Outcome:
    description = kind_of(visit, kinds.LimitExceeded).description or visit.node.description
    return LimitExceeded(description or "a limit of the workflow is reached")
