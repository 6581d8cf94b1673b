"""The table of bounds, its page and its tests are one."""

import re
from pathlib import Path

import pytest

from groundwork.bounds import TABLE, Bound

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs/security.md"


def line_of(bound: Bound) -> str:
    return f"| {bound.thing} | {bound.who} | {bound.shown} | {bound.beyond} |"


def test_the_page_shows_the_table_as_it_is_in_code():
    section = PAGE.read_text().split("### The table\n", 1)[1].split("\n#", 1)[0]
    shown = [line for line in section.splitlines() if line.startswith("| ")][1:]
    assert shown == [line_of(bound) for bound in TABLE]


@pytest.mark.parametrize("bound", TABLE, ids=lambda bound: bound.name)
def test_each_bound_has_a_test_that_goes_beyond_it_and_is_imported_where_it_holds(bound: Bound):
    file, _, name = bound.test.partition("::")
    assert re.search(rf"^(async )?def {name}\(", (ROOT / file).read_text(), re.MULTILINE)
    packages = ("agent_runtime", "admin_api", "registry", "groundwork")
    users = [path for package in packages for path in (ROOT / package).rglob("*.py") if path.name != "bounds.py"]
    assert any(re.search(rf"\b{bound.name}\b", path.read_text()) for path in users)
