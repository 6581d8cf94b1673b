"""Strict JSON."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from groundwork.http.json_body import BadJson, parse_json


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not valid JSON"),
        (b"{", "not valid JSON"),
        (b'{"a":1} x', "not valid JSON"),
        (b'"\xff"', "not valid UTF-8 at byte 1"),
        (b"\xef\xbb\xbf{}", "not valid JSON"),
        (b"[NaN]", "NaN"),
        (b"-Infinity", "-Infinity"),
        (b"1e999", "out of range"),
        (b'{"a":1,"b":2,"a":3}', "'a' is given twice"),
        (b'[{"x":{"a":1,"\\u0061":1}}]', "'a' is given twice"),
        (b"1" * 301, "more than 300 digits"),
        (b"[" * 65 + b"]" * 65, "more than 64 levels"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "more than 64 levels"),
        (b"[" * 1_000_000, "more than 64 levels"),
        (b'"' * 1_000_001, "not valid JSON"),
        (b'"' + b"\\" * 1_000_001, "not valid JSON"),
    ],
)
def test_what_is_not_strict_json_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    with pytest.raises(BadJson, match=reason) as raised:
        parse_json(body)
    assert raised.value.reason == str(raised.value)


def test_brackets_in_strings_do_not_count_as_levels() -> None:
    value = {"a": "[" * 100, '[{"': ['\\"[' * 100]}
    assert parse_json(b'{"a": "%s", "[{\\"": ["%s"]}' % (b"[" * 100, rb"\\\"[" * 100)) == value


def test_as_many_levels_as_allowed_are_accepted() -> None:
    assert parse_json(b"[" * 64 + b"]" * 64)
    assert parse_json(b"[[1]]", max_depth=2) == [[1]]
    with pytest.raises(BadJson):
        parse_json(b"[[1]]", max_depth=1)


def test_long_but_lawful_numbers_are_exact() -> None:
    assert parse_json(b"9" * 300) == 10**300 - 1


_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(_values, st.booleans())
def test_whatever_json_can_say_is_read_unchanged(value: object, ascii_only: bool) -> None:
    import json

    assert parse_json(json.dumps(value, ensure_ascii=ascii_only).encode()) == value
