"""Which version is the latest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.workflows.versions import latest_first, precedence


@pytest.mark.parametrize(
    "in_order",
    [
        ["0.9.0", "0.10.0", "1.0.0", "1.0.1", "1.2.0", "2.0.0", "10.0.0"],
        # the example of semver.org
        [
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
        ],
        ["1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0--", "1.0.0-1a"],
        ["0.9.9+zzz", "1.0.0-rc.1+zzz", "1.0.0+aaa"],
    ],
)
def test_semantic_versions_are_ordered_by_precedence(in_order):
    registered_backwards = [(version, -number) for number, version in enumerate(in_order)]
    assert latest_first(registered_backwards) == in_order[::-1]


def test_versions_that_differ_in_build_metadata_are_ordered_by_registration():
    assert latest_first([("0.1.0+bbb", 1), ("0.1.0+aaa", 2), ("0.1.0", 0)]) == ["0.1.0+aaa", "0.1.0+bbb", "0.1.0"]


@pytest.mark.parametrize(
    "odd", ["1.0", "v2.0.0", "latest", "01.0.0", "1.0.0-01", "1.0.0-", "1.0.0+", "2024-01-31"]
)
def test_one_version_that_is_not_semantic_makes_registration_the_order_of_all(odd):
    assert precedence(odd) is None
    assert latest_first([("9.0.0", 1), (odd, 2), ("1.0.0", 3)]) == ["1.0.0", odd, "9.0.0"]


@given(st.lists(st.from_regex(r"[0-9]{1,2}(\.[0-9]{1,2}){2}(-[0-9a-b]{1,2})?", fullmatch=True), unique=True))
def test_every_version_is_there_once(versions):
    ordered = latest_first((version, number) for number, version in enumerate(versions))
    assert sorted(ordered) == sorted(versions)
