"""What the packages log: the event of each call, read from the source."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parent.parent
PACKAGES = ("agent_runtime", "admin_api", "registry", "groundwork")
LEVELS = ("info", "warning", "error", "exception")


def log_events() -> dict[str, set[str]]:
    """Return the levels that each event is logged at; what is made of names at run time is left out."""
    events: dict[str, set[str]] = {}
    for level, text in _log_calls():
        event = re.split(r" ?[\w]+=|: |; |%", text)[0].strip(" ,")
        if event:
            events.setdefault(event, set()).add("error" if level == "exception" else level)
    return events


def _log_calls() -> Iterator[tuple[str, str]]:
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                match node:
                    case ast.Call(func=ast.Attribute(value=ast.Name(id="logger"), attr=level), args=[text, *_]):
                        if level in LEVELS:
                            yield from ((level, one) for one in _texts(text))


def _texts(node: ast.expr) -> list[str]:
    """The announcement of a start is aligned in columns, and is no event."""
    parts = [node.body, node.orelse] if isinstance(node, ast.IfExp) else [node]
    texts = [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]
    return [text for text in texts if "  " not in text]
