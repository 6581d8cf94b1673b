"""Documents as the published compilers of JamJet emit them; each is named after what made it."""

import json
from collections.abc import Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

_DOCUMENTS = Path(__file__).parent / "documents"
SAMPLES = sorted(path.stem for path in _DOCUMENTS.glob("*.json"))


def load_sample(prefix: str) -> dict[str, Any]:
    """A copy of the document whose name begins so, to be changed at will."""
    [path] = _DOCUMENTS.glob(f"{prefix}*.json")
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return document


def ir(*nodes: dict[str, Any], edges: Sequence[tuple[str, ...]] | None = None, **more: Any) -> dict[str, Any]:
    """A document of nodes, which are kinds with an `id` beside what belongs to them, in a row without `edges`.

    An edge is source, target and perhaps a condition.
    """
    ids = [node["id"] for node in nodes]
    if edges is None:
        edges = list(zip(ids, [*ids[1:], "end"], strict=True))
    return {
        "workflow_id": "w",
        "version": "1.0.0",
        "nodes": {node["id"]: as_node(**node) for node in nodes},
        "edges": [
            {"from": source, "to": target, "condition": condition[0] if condition else None}
            for source, target, *condition in edges
        ],
        **more,
    }


def as_node(*, id: str, node: dict[str, Any] | None = None, **kind: Any) -> dict[str, Any]:
    """A node; `node` are fields of its own, such as its labels."""
    return {"id": id, "kind": deepcopy(kind), **(node or {})}
