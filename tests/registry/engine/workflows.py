"""Small workflows for tests, written down as briefly as possible."""

from collections.abc import Mapping
from typing import Any


def document(
    nodes: Mapping[str, Mapping[str, Any]],
    edges: Mapping[tuple[str, str], str | None] | list[tuple[str, str]],
    start: str | None = None,
    **more: Any,
) -> dict[str, Any]:
    """An IR. Nodes are given by their kinds, `{"a": {"type": "end"}}`; edges as pairs, some with conditions."""
    given = edges if isinstance(edges, Mapping) else dict.fromkeys(edges)
    return {
        "workflow_id": "test",
        "version": "1.0.0",
        "start_node": start or next(iter(nodes)),
        "nodes": {name: {"id": name, "kind": dict(kind)} for name, kind in nodes.items()},
        "edges": [{"from": a, "to": b, "condition": condition} for (a, b), condition in given.items()],
        **more,
    }


STEP = {"type": "condition", "branches": []}
"""A node that does nothing, and is done at once."""


def branches(**targets: str | None) -> dict[str, Any]:
    """A condition: `branches(left="state.x", right=None)`."""
    return {
        "type": "condition",
        "branches": [{"condition": condition, "target": target} for target, condition in targets.items()],
    }
