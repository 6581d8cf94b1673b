"""What a thread may be called, and the names of the graphs that answer in threads."""

from unicodedata import category
from uuid import UUID, uuid5

LONGEST_ID = 255
"""Longer ids are refused rather than cut: a cut id would be somebody else's."""

_ASSISTANTS = UUID("6ba7b821-9dad-11d1-80b4-00c04fd430c8")
"""In which LangGraph's own server makes the ids of its assistants."""

_REFUSED_CATEGORIES = frozenset({"Cc", "Cs"})  # control characters; halves of surrogate pairs, which UTF-8 lacks


def is_thread_id(value: str) -> bool:
    """Whether `value` can be a thread id: 1–255 characters, none of them a control character."""
    if not 1 <= len(value) <= LONGEST_ID:
        return False
    # What can be printed has none of them, and is nearly all there is; only the rest is looked at one by one.
    return value.isprintable() or not any(category(char) in _REFUSED_CATEGORIES for char in value)


def assistant_id_of(graph_id: str) -> str:
    """Return the id by which LangGraph's clients know the graph."""
    return str(uuid5(_ASSISTANTS, graph_id))


def graph_names(graph_id: str) -> dict[str, str]:
    """Return what a thread's metadata says of the graph that answers in it."""
    return {"graph_id": graph_id, "assistant_id": assistant_id_of(graph_id)}
