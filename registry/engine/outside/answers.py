"""What others answer, as workflows use it. Pure."""

from collections.abc import Mapping
from typing import Any

from groundwork.foreign_json import parse_foreign_text
from groundwork.json_body import BadJson

_LARGEST_EXACT = 2.0**53


def read_text(text: str) -> Any:
    """What the text says, when it is a JSON object or list; any other text is text, and so is `5`."""
    stripped = text.strip()
    if not (stripped.startswith(("{", "[")) and stripped.endswith(("}", "]"))):
        return text
    try:
        return parse_foreign_text(stripped)
    except BadJson:
        return text


def with_whole_numbers(value: Any) -> Any:
    """A2A's data has no whole numbers of its own: what was 2 when it was sent arrives as 2.0."""
    if isinstance(value, float) and value.is_integer() and abs(value) < _LARGEST_EXACT:
        return int(value)
    if isinstance(value, Mapping):
        return {key: with_whole_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_whole_numbers(item) for item in value]
    return value
