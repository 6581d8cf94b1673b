"""How a node answers with more than the text of its messages.

`send_artifact` and `reply` work in any node or tool of the running graph, synchronous or not, in subgraphs
too. What they send is on its way to the caller at once, while the node goes on.
"""

import json
from collections.abc import Mapping
from typing import Any
from uuid import uuid4

from langgraph.config import get_stream_writer
from langgraph.errors import GraphBubbleUp

from agent_runtime.graph.outputs import Artifact, Data, File, Part, Replied, Text

LONGEST_ARTIFACT_ID = 255


class TurnRejected(GraphBubbleUp):
    """Raise it in a node or a tool when the agent does not take the message on; the caller reads the reason.

    LangGraph lets exceptions of this kind through wherever it catches others: in a `ToolNode` that handles the
    errors of its tools, in retries, in middleware.
    """

    def __init__(self, reason: str = "the agent does not take this message on") -> None:
        super().__init__(reason)
        self.reason = reason


def send_artifact(
    name: str,
    *parts: Part | str,
    artifact_id: str | None = None,
    append: bool = False,
    last: bool = True,
    description: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> str:
    """Sends a named result and returns its artifact id.

    The same id again replaces the artifact. In chunks: the first with `last=False`, the others with the id
    it returned, `append=True`, and `last=False` on all but the final one. A node that runs again after a
    crash sends its artifacts again, so give an `artifact_id` of your own where two of them would be wrong.

    Raises `ValueError` when A2A could not carry what is given.
    """
    if not name.strip():
        raise ValueError("an artifact needs a name")
    if append and artifact_id is None:
        raise ValueError(
            "append=True adds to an artifact sent before: pass the artifact_id that send_artifact returned"
        )
    if artifact_id is not None and not 1 <= len(artifact_id) <= LONGEST_ARTIFACT_ID:
        raise ValueError(f"artifact_id must have 1 to {LONGEST_ARTIFACT_ID} characters")
    artifact = Artifact(
        artifact_id=artifact_id or uuid4().hex,
        name=name,
        parts=_checked(parts),
        append=append,
        last=last,
        description=description,
        metadata=_json_object(metadata or {}),
    )
    get_stream_writer()(artifact)
    return artifact.artifact_id


def reply(*parts: Part | str) -> None:
    """Answers with one bare message instead of a task.

    For an answer that nobody needs to find again. It is the whole answer: artifacts sent in the same turn
    would need a task to belong to. Raises `ValueError` when A2A could not carry what is given.
    """
    answer = Replied(_checked(parts))
    get_stream_writer()(answer)


def _checked(parts: tuple[Part | str, ...]) -> tuple[Part, ...]:
    if not parts:
        raise ValueError("at least one part is needed: a str, Text, Data or File")
    return tuple(_check_part(part) for part in parts)


def _check_part(part: Part | str) -> Part:
    match part:
        case str():
            return Text(part)
        case Data():
            _check_json(part.value, "a Data part")
            return part
        case Text() | File():
            return part
    raise ValueError(f"a part is a str, Text, Data or File, not {type(part).__name__}")


def _json_object(metadata: Mapping[str, Any]) -> dict[str, Any]:
    _check_json(dict(metadata), "metadata")
    return dict(metadata)


def _check_json(value: Any, what: str) -> None:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        hint = (
            ' (a Pydantic model becomes one by .model_dump(mode="json"))' if hasattr(value, "model_dump") else ""
        )
        raise ValueError(f"{what} must hold a JSON value: {error}{hint}") from error
