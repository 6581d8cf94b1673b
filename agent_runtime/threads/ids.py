"""What a thread may be called."""

from unicodedata import category

_REFUSED_CATEGORIES = frozenset({"Cc", "Cs"})  # control characters; halves of surrogate pairs, which UTF-8 lacks


def is_thread_id(value: str) -> bool:
    """Whether `value` can be a thread id: 1–255 characters, none of them a control character."""
    return 1 <= len(value) <= 255 and not any(category(char) in _REFUSED_CATEGORIES for char in value)
