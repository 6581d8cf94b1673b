"""What a thread may be called."""

from unicodedata import category

LONGEST_ID = 255
"""Longer ids are refused rather than cut: a cut id would be somebody else's."""

_REFUSED_CATEGORIES = frozenset({"Cc", "Cs"})  # control characters; halves of surrogate pairs, which UTF-8 lacks


def is_thread_id(value: str) -> bool:
    """Whether `value` can be a thread id: 1–255 characters, none of them a control character."""
    if not 1 <= len(value) <= LONGEST_ID:
        return False
    # What can be printed has none of them, and is nearly all there is; only the rest is looked at one by one.
    return value.isprintable() or not any(category(char) in _REFUSED_CATEGORIES for char in value)
