"""What others answer, as workflows use it. Pure."""

from typing import Any

from groundwork.http.json_body import BadJson
from groundwork.outgoing.foreign_json import parse_foreign_text


def read_text(text: str) -> Any:
    """What the text says, when it is a JSON object or list; any other text is text, and so is `5`."""
    stripped = text.strip()
    if not (stripped.startswith(("{", "[")) and stripped.endswith(("}", "]"))):
        return text
    try:
        return parse_foreign_text(stripped)
    except BadJson:
        return text
