"""How expressions compare JSON values, with what it costs counted."""

from collections.abc import Mapping, Sequence
from typing import Any

from registry.workflows.evaluation_budget import EvaluationBudget

_DEEPEST = 100
_NUMBERS_PER_STEP = 4
_ITEM_CHARACTERS = 256


def are_same(left: Any, right: Any, budget: EvaluationBudget, depth: int = 0) -> bool:
    """Return whether both are the same as JSON: 1 is 1.0, but neither is true."""
    budget.spend()
    if depth > _DEEPEST:
        return False
    if is_number(left) and is_number(right):
        return bool(left == right)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(
            are_same(one, other, budget, depth + 1) for one, other in zip(left, right, strict=True)
        )
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        if len(left) != len(right):
            return False
        budget.spend_items(len(left))
        return left.keys() == right.keys() and all(
            are_same(left[key], right[key], budget, depth + 1) for key in left
        )
    if isinstance(left, str) and isinstance(right, str):
        if len(left) != len(right):
            return False
        budget.spend_characters(len(left))
        return left == right
    return left is right


def contains(container: Any, item: Any, budget: EvaluationBudget) -> bool:
    """Return whether the item is in a list, among the keys of an object, or a part of a string."""
    if isinstance(container, list | tuple):
        return _lists(container, item, budget)
    if not isinstance(item, str):
        return False
    if isinstance(container, str):
        budget.spend_characters(len(container))
        return item in container
    budget.spend()
    return isinstance(container, Mapping) and item in container


def _lists(container: Sequence[Any], item: Any, budget: EvaluationBudget) -> bool:
    """Look through a list by the interpreter's own means where these mean the same: they are far faster."""
    if isinstance(item, list | tuple | Mapping):
        return any(are_same(item, each, budget) for each in container)
    if isinstance(item, str):
        # Equally long strings may differ at their end alone.
        budget.spend_items(len(container))
        if len(item) > _ITEM_CHARACTERS:
            budget.spend_characters(len(item) * len(container))
        return item in container
    budget.spend_items(len(container), _NUMBERS_PER_STEP)
    if is_number(item):
        return any(each == item for each in container if is_number(each))
    return any(each is item for each in container)


def is_ordered(left: Any, operator: str, right: Any, budget: EvaluationBudget) -> bool:
    """Return whether two numbers or two strings stand in that order; false for everything else."""
    if isinstance(left, str) and isinstance(right, str):
        budget.spend_characters(min(len(left), len(right)))
    elif not (is_number(left) and is_number(right)):
        return False
    match operator:
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
        case _:
            return bool(left >= right)


def is_number(value: Any) -> bool:
    """Return whether it is a number; JSON's true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
