"""An event as it stands in answers, in one of two forms.

JamJet's documentation has `"kind": "NodeCompleted"`; its runtime, and so its command line, has the event itself
there: `"kind": {"type": "node_completed", ...}`. All the rest is the same in both.
"""

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from registry.executions.models import StoredEvent, show_execution_id
from registry.times import rfc3339

Form = Literal["name", "object"]
"""What `kind` is."""


class ShownEvent(TypedDict):
    id: str
    execution_id: str
    sequence: Annotated[int, Field(description="From 1, without gaps.")]
    kind: str | dict[str, Any]
    type: str
    node_id: str | None
    protocol: str | None
    data: dict[str, Any]
    created_at: str


class EventsAnswer(TypedDict):
    events: list[ShownEvent]


def show_event(event: StoredEvent, form: Form) -> ShownEvent:
    data = _in_the_words_of_the_runtime(event)
    protocol = event.data.get("protocol")
    return {
        "id": f"evt_{event.execution_id.hex}_{event.sequence}",
        "execution_id": show_execution_id(event.execution_id),
        "sequence": event.sequence,
        "kind": data if form == "object" else documented_name(event.type),
        "type": event.type,
        "node_id": event.node_id,
        "protocol": protocol if isinstance(protocol, str) else None,
        "data": data,
        "created_at": rfc3339(event.created_at),
    }


def documented_name(event_type: str) -> str:
    """`NodeCompleted` for `node_completed`."""
    return "".join(word.capitalize() for word in event_type.split("_"))


def _in_the_words_of_the_runtime(event: StoredEvent) -> dict[str, Any]:
    node = {} if event.node_id is None else {"node_id": event.node_id}
    return {"type": event.type, **node, **event.data}
