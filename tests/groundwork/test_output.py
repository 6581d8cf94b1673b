"""What commands print can be read by people and by programs, whatever strangers have put into it."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

import pytest

from groundwork.output import show, show_one

ROWS = [
    {"id": "a[red]b", "name": "한국", "alive": True, "skills": ["x", "y"], "last_heartbeat": None},
    {"id": "second", "name": "\x1b[31mevil\n\u202e", "alive": False, "skills": [], "last_heartbeat": "2026"},
]
COLUMNS = ("id", "name", "alive", "skills", "last_heartbeat")


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[TextIO]:
    """Makes standard output a terminal; what is shown there can be read from what this yields."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    ours, theirs = os.openpty()
    with os.fdopen(ours, encoding="utf-8") as shown, os.fdopen(theirs, "w", encoding="utf-8") as printed:
        monkeypatch.setattr(sys, "stdout", printed)
        yield shown
        monkeypatch.undo()


def lines_on(shown: TextIO, count: int) -> str:
    return "".join(shown.readline() for _ in range(count))


def test_a_list_is_aligned_columns_when_nobody_watches(capsys: pytest.CaptureFixture[str]) -> None:
    show(ROWS, ROWS, COLUMNS, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "id       name                  alive  skills  last heartbeat",
        "a[red]b  한국                  yes    x, y    -",
        "second   \\x1b[31mevil\\n\\u202e  no     -       2026",
    ]


def test_a_list_is_a_table_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as shown:
        show(ROWS, ROWS, COLUMNS, as_json=False)
        table = lines_on(shown, 5)
    assert "───" in table
    assert "a[red]b" in table
    assert "\\x1b[31mevil\\n\\u202e" in table
    assert "\x1b[31m" not in table


def test_a_row_is_one_line_on_eighty_columns_and_keeps_what_it_is_called_by(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    row = {
        "id": "billing-agent-" * 2,
        "at": "2026-11-30T21:36:09.123456Z",
        "url": "http://a.test/" * 5,
        "x": "y" * 40,
    }
    with terminal(monkeypatch) as shown:
        monkeypatch.setenv("COLUMNS", "80")
        show([row], [row], ("id", "at", "url"), as_json=False)
        _, _, _, line = (shown.readline() for _ in range(4))
    assert row["id"] in line


def test_json_is_the_value_itself_and_no_terminal_obeys_it(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"agents": ROWS, "odd": "\x9b\x7f\U000e0001\ud800"}
    show(value, ROWS, COLUMNS, as_json=True)
    printed = capsys.readouterr().out
    assert json.loads(printed) == value
    assert "한국" in printed
    assert all(character.isprintable() for character in printed.replace("\n", ""))


def test_one_thing_is_a_line_for_each_field(capsys: pytest.CaptureFixture[str]) -> None:
    show_one({"agent_id": "a\tb", "alive": True, "card": {"n": [1]}, "tags": []}, as_json=False)
    assert capsys.readouterr().out.splitlines() == [
        "agent id  a\\tb",
        "alive     yes",
        "card      {",
        '            "n": [',
        "              1",
        "            ]",
        "          }",
        "tags      -",
    ]


def test_one_thing_on_a_terminal_has_no_box(monkeypatch: pytest.MonkeyPatch) -> None:
    with terminal(monkeypatch) as shown:
        show_one({"agent_id": "[bold]a[/]", "card": {"n": 1}}, as_json=False)
        assert "[bold]a[/]" in lines_on(shown, 4)
