"""How much work the expressions and templates of one step of an execution may be."""

import json
from typing import Any

from groundwork.bounds import EVALUATION_STEPS, RENDERED_BYTES

_CHARACTERS_PER_STEP = 256
_ITEMS_PER_STEP = 16


class EvaluationTooLarge(ValueError):
    """Expressions or templates would take more than the budget of their step; the message says of what."""


class EvaluationBudget:
    """What is left, counted while the work is done: in steps of about half a microsecond, and in characters made.

    All nodes of a step share one. Everything runs on the event loop, where nothing else moves meanwhile.
    """

    def __init__(self, steps: int = EVALUATION_STEPS, rendered: int = RENDERED_BYTES) -> None:
        self._steps = self._steps_left = steps
        self._rendered = self._rendered_left = rendered
        self._sizes: dict[int, tuple[Any, int]] = {}

    def spend(self, steps: int = 1) -> None:
        """Count the steps. Raises `EvaluationTooLarge`."""
        self._steps_left -= steps
        if self._steps_left < 0:
            raise EvaluationTooLarge(f"the expressions of this step need more than {self._steps} steps of work")

    def spend_items(self, items: int, per_step: int = _ITEMS_PER_STEP) -> None:
        """Count what is looked through by the interpreter itself, item by item."""
        self.spend(1 + items // per_step)

    def spend_characters(self, characters: int) -> None:
        """Count what is looked through by the interpreter itself, character by character."""
        self.spend(1 + characters // _CHARACTERS_PER_STEP)

    def spend_text(self, text: str) -> str:
        """Return the text, counted as made. Raises `EvaluationTooLarge`."""
        self._spend_rendered(len(text))
        return text

    def spend_value(self, value: Any) -> Any:
        """Return the value, counted by its length as JSON: it is written as often as something refers to it."""
        if not isinstance(value, str | list | tuple | dict):
            return value
        known = self._sizes.get(id(value))
        if known is None:
            size = len(value) if isinstance(value, str) else len(as_json(value))
            known = self._sizes[id(value)] = (value, size)  # the value is kept, so that its id stays its own
        self._spend_rendered(known[1])
        return value

    def _spend_rendered(self, characters: int) -> None:
        self._rendered_left -= characters
        if self._rendered_left < 0:
            raise EvaluationTooLarge(
                f"the templates and references of this step make more than {self._rendered} characters"
            )


def as_json(value: Any) -> str:
    """Return the value as JSON; what JSON lacks is null."""
    return json.dumps(value, ensure_ascii=False, default=lambda _: None)
