"""Labels of agents, such as `team=billing`: what an agent and its registry have to agree on."""

import re
from collections.abc import Mapping

MOST_LABELS = 64

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")
_LONGEST_VALUE = 255

_ONE = rf"{_NAME.pattern}=[^,]{{0,{_LONGEST_VALUE}}}"
FILTER_PATTERN = f"^{_ONE}(?:,{_ONE})*$"
"""What `read_label_filter` takes, as far as a regular expression can say it."""

NAME_ACCEPTED = "1 to 63 letters, digits, '.', '_', '/' and '-', the first and last a letter or a digit"
VALUE_ACCEPTED = f"up to {_LONGEST_VALUE} printable characters without commas"


def check_labels(labels: Mapping[str, str | None]) -> None:
    """Raise `ValueError` for labels that no agent can have; the message names the label."""
    if len(labels) > MOST_LABELS:
        raise ValueError(f"{len(labels)} labels are more than the {MOST_LABELS} that an agent may have")
    for name, value in labels.items():
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name[:80]!r} is no name of a label; accepted: {NAME_ACCEPTED}")
        if value is not None and not _is_value(value):
            raise ValueError(f"{name} has no value of a label; accepted: {VALUE_ACCEPTED}")


def read_label_filter(text: str) -> dict[str, str]:
    """Return what `team=billing,stage=live` asks for: all of them. Raises `ValueError`."""
    labels: dict[str, str] = {}
    for part in text.split(","):
        name, equals, value = part.partition("=")
        if not equals or not _NAME.fullmatch(name) or not _is_value(value):
            raise ValueError("accepted: name=value, several with commas in between, as in team=billing,stage=live")
        if labels.setdefault(name, value) != value:
            raise ValueError(f"{name} is asked to have two values")
    return labels


def _is_value(value: str) -> bool:
    return len(value) <= _LONGEST_VALUE and value.isprintable() and "," not in value
