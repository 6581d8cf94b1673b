"""What a node is given: values and prompts as a workflow writes them, with what they refer to put in.

This is not Jinja: `{{ path }}` is all there is, and a path leads only through JSON.
"""

import re
from collections.abc import Mapping
from typing import Any

from registry.workflows.evaluation_budget import EvaluationBudget, as_json
from registry.workflows.expressions import PATH, follow

_PLACEHOLDER = re.compile(rf"\{{\{{\s*+({PATH})\s*+\}}\}}", re.DOTALL)
_REFERENCE = re.compile(
    rf"\$(?P<marked>(?=(?:state|output)\b){PATH})|(?P<bare>(?=(?:state|output)[.\[]){PATH})", re.DOTALL
)


def resolve(value: Any, scope: Mapping[str, Any], budget: EvaluationBudget) -> Any:
    """The value with references replaced by what they lead to, which keeps its type; null where there is nothing.
    Raises `EvaluationTooLarge`.

    `{{ state.x.y }}`, `state.x`, `$state.x` and the like with `output` are references, in lists and objects too. A
    text with placeholders among other words is rendered. Everything else stands for itself.
    """
    if isinstance(value, str):
        return _resolve_text(value, scope, budget)
    if isinstance(value, list | tuple):
        return [resolve(item, scope, budget) for item in value]
    if isinstance(value, Mapping):
        return {key: resolve(item, scope, budget) for key, item in value.items()}
    return value


def render(text: str, scope: Mapping[str, Any], budget: EvaluationBudget) -> str:
    """The text with `{{ path }}` replaced: text as it is, nothing for what is absent, and the rest as JSON.
    Raises `EvaluationTooLarge`.

    What is put in is not looked through again, and braces with anything but a path in them stay.
    """
    return _PLACEHOLDER.sub(lambda found: budget.spend_text(_as_text(follow(scope, found[1], budget))), text)


def _resolve_text(text: str, scope: Mapping[str, Any], budget: EvaluationBudget) -> Any:
    stripped = text.strip()
    if alone := _PLACEHOLDER.fullmatch(stripped):
        return budget.spend_value(follow(scope, alone[1], budget))
    if reference := _REFERENCE.fullmatch(stripped):
        return budget.spend_value(follow(scope, reference["marked"] or reference["bare"], budget))
    return render(text, scope, budget)


def _as_text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else as_json(value)
