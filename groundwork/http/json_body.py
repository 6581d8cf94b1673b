"""JSON from outside, read strictly: what two parsers could understand differently is refused; and JSON we send."""

import json
import math
import re
from typing import Any

MAX_INT_DIGITS = 300  # what is longer does not fit a double, which is what most readers of JSON make of it

# A string as a whole, so that the brackets in it do not count, or a bracket. Possessive, so that no input makes
# it backtrack.
_STRING_OR_BRACKET = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"|[\[{]|[\]}]', re.DOTALL)


class BadJson(Exception):
    """The bytes are not the JSON we accept; `reason` says why, without repeating them."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parse_json(body: bytes, max_depth: int = 64) -> Any:
    """The value in `body`. Raises `BadJson` for anything but UTF-8 JSON of at most `max_depth` levels, without
    NaN, infinities, numbers out of range, or a key given twice in one object."""
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadJson(f"not valid UTF-8 at byte {error.start}") from None
    check_depth(text, max_depth)
    try:
        return json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_constant,
            parse_float=_float,
            parse_int=_int,
        )
    except json.JSONDecodeError as error:
        raise BadJson(f"not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise BadJson("nested too deeply") from None


def check_depth(text: str, max_depth: int) -> None:
    """Raises `BadJson`."""
    depth = 0
    for match in _STRING_OR_BRACKET.finditer(text):
        found = match[0]
        if found in "[{":
            depth += 1
            if depth > max_depth:
                raise BadJson(f"nested more than {max_depth} levels deep")
        elif found in "]}":
            depth -= 1


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        seen: set[str] = set()
        repeated = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise BadJson(f"the key {repeated[:100]!r} is given twice")
    return result


def _constant(name: str) -> float:
    raise BadJson(f"{name} is not valid JSON")


def _float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise BadJson("a number is out of range")
    return value


def _int(text: str) -> int:
    if len(text) > MAX_INT_DIGITS:
        raise BadJson(f"a number has more than {MAX_INT_DIGITS} digits")
    return int(text)


def to_json(content: object) -> bytes:
    """UTF-8 that a terminal shows as it is; half a surrogate pair, which UTF-8 lacks, leaves as `\\ud800`.

    Raises `ValueError` for NaN and the infinities, which JSON lacks.
    """
    return json.dumps(content, ensure_ascii=False, allow_nan=False).encode("utf-8", "backslashreplace")
