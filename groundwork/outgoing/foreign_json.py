"""JSON that servers of others answer with, read as readers in the field do: what it says counts, not how well."""

import codecs
import json
import math
from email.message import Message
from typing import Any

from groundwork.http.json_body import MAX_INT_DIGITS, BadJson, check_depth

MAX_DEPTH = 200
"""Levels. What is made of the value afterwards calls itself for each of them."""

_BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # begins like UTF-16's
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

# Python has them beside the charsets; reading some of them takes quadratic time.
_NO_CHARSETS = ("idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined")


def parse_foreign_json(body: bytes, content_type: str = "") -> Any:
    """Return the value in `body`. Raises `BadJson` for what is no JSON at all, or nested too deeply.

    NaN, the infinities and numbers beyond a double's are null; of a key given twice the last one counts.
    """
    return parse_foreign_text(decode_foreign(body, content_type))


def parse_foreign_text(text: str) -> Any:
    """Return the value in `text`, which has been decoded already, as `parse_foreign_json` does."""
    check_depth(text, MAX_DEPTH)
    try:
        return json.loads(
            text,
            strict=False,
            parse_constant=lambda _: None,
            parse_float=_float,
            parse_int=_int,
        )
    except json.JSONDecodeError as error:
        raise BadJson(f"not valid JSON: {error.msg} at line {error.lineno}, column {error.colno}") from None
    except RecursionError:
        raise BadJson("nested too deeply") from None


def decode_foreign(body: bytes, content_type: str = "") -> str:
    """Return the text in `body`, without its byte order mark, which says more than the declared charset does.

    What cannot be decoded becomes U+FFFD.
    """
    for mark, charset in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(charset, "replace")
    return body.decode(_charset(body, content_type), "replace")


def _charset(body: bytes, content_type: str) -> str:
    header = Message()
    header["Content-Type"] = content_type
    declared = header.get_content_charset()
    if declared is None:
        return json.detect_encoding(body)
    try:
        name = codecs.lookup(declared).name
        b"".decode(name)  # there are codecs that are not of text
    except (LookupError, ValueError):
        return "utf-8"
    return "utf-8" if name.replace("-", "_") in _NO_CHARSETS else name


def _float(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


def _int(text: str) -> int | None:
    return int(text) if len(text) <= MAX_INT_DIGITS else None
