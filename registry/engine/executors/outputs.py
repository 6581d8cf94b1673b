"""Where in the state goes what a node was given, and how long it may take."""

from typing import Any

from groundwork.bounds import NODE_SECONDS
from registry.engine.visits import Visit


def patch_of(value: Any, output_schema: str, otherwise: str) -> dict[str, Any]:
    """JamJet's `output_schema` names a key of the state when it is a plain identifier; `otherwise` is the key for
    nodes that name none."""
    return {output_schema if output_schema.isidentifier() else otherwise: value}


def seconds_for(visit: Visit, longest: float) -> float:
    """A little less than the node has, so that what became of a call is told rather than cut off."""
    limit = visit.node.timeout_seconds or visit.execution.workflow.timeouts.node_timeout
    return longest if limit is None else 0.95 * min(limit, NODE_SECONDS)
