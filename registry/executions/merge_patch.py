"""JSON Merge Patch (RFC 7396). Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


def merge_patch(target: Any, patch: Any) -> Any:
    """`target` with `patch` applied: objects are merged, null removes a key, anything else replaces."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


@dataclass(frozen=True)
class Change:
    """What becomes of the keys of a state: some get new values, some are removed."""

    patch: Mapping[str, Any] = field(default_factory=dict)
    removed: frozenset[str] = frozenset()

    def __or__(self, later: "Change") -> "Change":
        """This change, and the later one after it."""
        kept = {key: value for key, value in self.patch.items() if key not in later.removed}
        return Change({**kept, **later.patch}, self.removed - later.patch.keys() | later.removed)

    def applied_to(self, state: Mapping[str, Any]) -> dict[str, Any]:
        return {**{key: value for key, value in state.items() if key not in self.removed}, **self.patch}

    @property
    def as_merge_patch(self) -> dict[str, Any]:
        """For those who are told what has changed: null stands for what is gone."""
        return {**self.patch, **dict.fromkeys(sorted(self.removed))}


def merging(state: Mapping[str, Any], patch: Any) -> Change:
    """What merging `patch` changes in the state. A patch that is no object would replace the state as a whole,
    which has to be an object: it changes nothing."""
    if not isinstance(patch, Mapping):
        return Change()
    merged = merge_patch(state, patch)
    return Change(
        {key: merged[key] for key in patch if key in merged},
        frozenset(key for key in patch if key not in merged),
    )
