"""JSON for people: as few lines as fit, and no more of a long value than tells what it is."""

import json
from dataclasses import dataclass
from typing import Any

LONGEST_TEXT = 160
SHOWN_TEXT = 34
LONGEST_LIST = 6
_INDENT = 2


@dataclass(frozen=True)
class Abridged:
    """What stands in the place of a value, or of several, that would be too long."""

    text: str


def abridge(value: Any) -> Any:
    """The value with long texts cut and the middle of long lists left out; the same value when it is short."""
    if isinstance(value, str) and len(value) > LONGEST_TEXT:
        return Abridged(f"{json_text(value[:SHOWN_TEXT])}… {len(value) - SHOWN_TEXT:,} more")
    if isinstance(value, dict):
        return {key: abridge(item) for key, item in value.items()}
    if isinstance(value, list):
        items = [abridge(item) for item in value]
        if len(items) > LONGEST_LIST:
            items[3:-2] = [Abridged(f"… {len(items) - 5} more …")]
        return items
    return value


def only(value: dict[str, Any], *keys: str) -> dict[str, Any]:
    """The object without all but some of its fields, and a word about the others."""
    kept = {key: value[key] for key in keys}
    return {**kept, "…": Abridged(f"{len(value) - len(kept)} more fields")}


def lay_out(value: Any, width: int, *, before: int = 0, indent: int = 0) -> str:
    """The value as JSON; whatever fits into a line of `width` is one line. Texts are never broken.

    `before` columns of the first line are taken already; the lines after it begin at `indent`.
    """
    line = _one_line(value)
    if not value or not isinstance(value, dict | list) or before + len(line) <= width:
        return line
    inner = indent + _INDENT
    keys = [f"{json_text(key)}: " for key in value] if isinstance(value, dict) else [""] * len(value)
    items = value.values() if isinstance(value, dict) else value
    parts = [
        " " * inner + key + lay_out(item, width, before=inner + len(key) + len(","), indent=inner)
        for key, item in zip(keys, items, strict=True)
    ]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return "\n".join([opening, ",\n".join(parts), " " * indent + closing])


def json_text(value: Any) -> str:
    """The value on one line, as the server writes it."""
    return json.dumps(value, ensure_ascii=False)


def _one_line(value: Any) -> str:
    if isinstance(value, Abridged):
        return value.text
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json_text(key)}: {_one_line(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_one_line, value)) + "]"
    return json_text(value)
