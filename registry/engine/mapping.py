"""What a node is given: values and prompts as a workflow writes them, with what they refer to put in.

This is not Jinja: `{{ path }}` is all there is, and a path leads only through JSON.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from registry.workflows.expressions import PATH, follow

_PLACEHOLDER = re.compile(rf"\{{\{{\s*+({PATH})\s*+\}}\}}", re.DOTALL)
_REFERENCE = re.compile(
    rf"\$(?P<marked>(?=(?:state|output)\b){PATH})|(?P<bare>(?=(?:state|output)[.\[]){PATH})", re.DOTALL
)


def resolve(value: Any, scope: Mapping[str, Any]) -> Any:
    """The value with references replaced by what they lead to, which keeps its type; null where there is nothing.

    `{{ state.x.y }}`, `state.x`, `$state.x` and the like with `output` are references, in lists and objects too. A
    text with placeholders among other words is rendered. Everything else stands for itself.
    """
    if isinstance(value, str):
        return _resolve_text(value, scope)
    if isinstance(value, list | tuple):
        return [resolve(item, scope) for item in value]
    if isinstance(value, Mapping):
        return {key: resolve(item, scope) for key, item in value.items()}
    return value


def render(text: str, scope: Mapping[str, Any]) -> str:
    """The text with `{{ path }}` replaced: text as it is, nothing for what is absent, and the rest as JSON.

    What is put in is not looked through again, and braces with anything but a path in them stay.
    """
    return _PLACEHOLDER.sub(lambda found: _as_text(follow(scope, found[1])), text)


def _resolve_text(text: str, scope: Mapping[str, Any]) -> Any:
    stripped = text.strip()
    if alone := _PLACEHOLDER.fullmatch(stripped):
        return follow(scope, alone[1])
    if reference := _REFERENCE.fullmatch(stripped):
        return follow(scope, reference["marked"] or reference["bare"])
    return render(text, scope)


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=lambda _: None)
