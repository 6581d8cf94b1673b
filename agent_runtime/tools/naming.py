"""Names that every model provider accepts for a tool: 1 to 64 characters of a-z, A-Z, 0-9, _ and -."""

import hashlib
import re
from collections.abc import Iterable

from langchain_core.tools import BaseTool

_LONGEST = 64
_REFUSED = re.compile(r"[^a-zA-Z0-9_-]")


def tool_name(source: str, tool: str) -> str:
    """`source_tool`, always with its source, so that a name does not depend on what else is connected."""
    return _shorten(_REFUSED.sub("_", f"{source}_{tool}"), f"{source}/{tool}")


def with_unique_names(tools: Iterable[BaseTool]) -> tuple[BaseTool, ...]:
    """The tools, renamed where two of them ended up with one name (`a` + `b_c` beside `a_b` + `c`)."""
    unique: dict[str, BaseTool] = {}
    for tool in tools:
        name, number = tool.name, 2
        while name in unique:
            name, number = _shorten(f"{tool.name}_{number}", f"{tool.name}/{number}"), number + 1
        unique[name] = tool if name == tool.name else tool.model_copy(update={"name": name})
    return tuple(unique.values())


def _shorten(name: str, original: str) -> str:
    if len(name) <= _LONGEST:
        return name
    digest = hashlib.sha256(original.encode()).hexdigest()[:8]
    return f"{name[: _LONGEST - 9]}_{digest}"
