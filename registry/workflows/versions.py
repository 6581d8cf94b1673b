"""Which version of a workflow is the latest. Pure."""

import re
from collections.abc import Iterable

# As semver.org has it: major, minor and patch, then perhaps a pre-release, then perhaps build metadata.
_NUMBER = r"(0|[1-9][0-9]*)"
_PRE_RELEASE_ID = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_SEMANTIC = re.compile(
    rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}"
    rf"(?:-({_PRE_RELEASE_ID}(?:\.{_PRE_RELEASE_ID})*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)

Precedence = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]


def precedence(version: str) -> Precedence | None:
    """What versions are compared by: a later one is greater. None when the version is not semantic."""
    match = _SEMANTIC.fullmatch(version)
    if match is None:
        return None
    major, minor, patch, pre_release = match.groups()
    ids = pre_release.split(".") if pre_release else []
    return int(major), int(minor), int(patch), not ids, tuple(map(_precedence_of_id, ids))


def latest_first(versions: Iterable[tuple[str, int]]) -> list[str]:
    """Versions, each given with a number that grows with every registration, with the latest first.

    They are ordered by semantic version where all of them are semantic, and by registration otherwise, and so are
    those that differ in build metadata only.
    """
    ranked = [(precedence(version), number, version) for version, number in versions]
    if any(rank is None for rank, _, _ in ranked):
        ranked = [(None, number, version) for _, number, version in ranked]
    return [version for _, _, version in sorted(ranked, key=lambda each: (each[0] or (), each[1]), reverse=True)]


def _precedence_of_id(text: str) -> tuple[bool, int, str]:
    """Numbers come before words."""
    return (False, int(text), "") if text.isdecimal() else (True, 0, text)
