"""Single values out of what is told of a thread, by paths such as `values.messages[-1].content`."""

import re
from typing import Any

_ROOTS = ("values", "metadata", "interrupts", "config", "error", "status")
_STEP = re.compile(r"\.([^.\[\]]+)|\[(-?[0-9]{1,6})\]")


def steps_of(path: str) -> list[str | int]:
    """Return the steps of a path. Raises `ValueError`, saying what is accepted."""
    steps: list[str | int] = []
    place, text = 0, f".{path}"
    while place < len(text) and (match := _STEP.match(text, place)) is not None:
        steps.append(match[1] if match[2] is None else int(match[2]))
        place = match.end()
    if place < len(text) or not steps or steps[0] not in _ROOTS:
        raise ValueError(f"a path begins with one of {', '.join(_ROOTS)}, such as values.messages[-1].content")
    return steps


def extract(described: Any, path: str) -> Any:
    """Return the value at the path; `None` where there is none."""
    found = described
    for step in steps_of(path):
        if isinstance(step, str) and isinstance(found, dict):
            found = found.get(step)
        elif isinstance(step, int) and isinstance(found, list) and -len(found) <= step < len(found):
            found = found[step]
        else:
            return None
    return found
