"""What an execution may cost. Pure."""

from collections.abc import Mapping
from typing import Any

from registry.workflows.ir import Workflow


def budget_patch(workflow: Workflow, cost_usd: float, tokens: int) -> Mapping[str, Any]:
    """Sets `__cost_exceeded__`, which the gates of compiled strategies look at, once a budget is used up."""
    dearest = (workflow.cost_budget_usd, workflow.strategy_limits.max_cost_usd)
    too_dear = any(limit is not None and cost_usd >= limit for limit in dearest)
    most = workflow.token_budget.total_tokens
    too_long = most is not None and tokens >= most
    return {"__cost_exceeded__": True} if too_dear or too_long else {}
