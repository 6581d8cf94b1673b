"""What commands show: tables for people, columns for other programs, JSON for either.

Most of it was written by strangers, such as the names of agents. So nothing in it is read as markup, and whatever
could move the cursor, end a line or turn the direction of reading round is shown as an escape sequence.
"""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated

import typer
from rich import box
from rich.cells import cell_len
from rich.console import Console, RenderableType
from rich.table import Table
from rich.text import Text

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]

_GAP = "  "
_NOTHING = "-"

# To the second is enough for people; programs get all of it.
_TIME = re.compile(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)[\d.]*Z$")


def show(value: object, rows: Sequence[Mapping[str, object]], columns: Sequence[str], *, as_json: bool) -> None:
    """Prints a list: `columns` of its `rows`, or `value` as JSON."""
    headings = [name.replace("_", " ") for name in columns]
    lines = [[_in_a_line(row.get(name)) for name in columns] for row in rows]
    if as_json:
        print_json(value)
    elif sys.stdout.isatty():
        _print(_table(headings, lines))
    else:
        _print_plain([headings, *lines])


def show_one(value: Mapping[str, object], *, as_json: bool) -> None:
    """Prints one thing: a line for each of its fields, more for those that have fields of their own, or JSON."""
    names = [escape(name).replace("_", " ") for name in value]
    if as_json:
        print_json(value)
    elif sys.stdout.isatty():
        _print(_fields(zip(names, map(_in_lines, value.values()), strict=True)))
    else:
        width = max(map(cell_len, names), default=0)
        for name, text in zip(names, map(_in_lines, value.values()), strict=True):
            first, *more = text.split("\n")
            _print_plain([[_pad(name, width), first], *([" " * width, line] for line in more)])


def print_json(value: object) -> None:
    """Prints JSON for other programs; in it, too, nothing is left that a terminal would obey."""
    typer.echo(_json(value, indent=2))


def print_json_line(value: object) -> None:
    """Prints JSON on one line, for programs that read as it comes."""
    typer.echo(_json(value))


def escape(text: str) -> str:
    """The text on one line, without a character that a terminal would obey instead of showing it."""
    return "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)


def _table(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> Table:
    """A row is one line, however narrow the terminal: what does not fit is cut, but for the first column."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    rows = [[_TIME.sub(r"\1 \2", cell) for cell in line] for line in lines]
    for number, heading in enumerate(headings):
        longest = max((cell_len(row[0]) for row in rows), default=0) if number == 0 else None
        table.add_column(Text(heading), no_wrap=True, overflow="ellipsis", min_width=longest)
    for row in rows:
        table.add_row(*map(Text, row))
    return table


def _fields(fields: Iterable[tuple[str, str]]) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, text in fields:
        table.add_row(Text(name), Text(text))
    return table


def _print(what: RenderableType) -> None:
    Console(highlight=False).print(what)


def _print_plain(lines: Sequence[Sequence[str]]) -> None:
    widths = [max(map(cell_len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        typer.echo(_GAP.join(map(_pad, line, widths)).rstrip())


def _pad(text: str, width: int) -> str:
    return text + " " * (width - cell_len(text))


def _json(value: object, indent: int | None = None) -> str:
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return re.sub(r"[^\x20-\x7e\n]", lambda found: _json_character(found[0]), text)


def _json_character(character: str) -> str:
    return character if character.isprintable() else json.dumps(character)[1:-1]


def _in_a_line(value: object) -> str:
    """A value as it stands in a cell of a table."""
    match value:
        case None | "":
            return _NOTHING
        case bool():
            return "yes" if value else "no"
        case str():
            return escape(value)
        case list() | tuple() if all(isinstance(item, str) for item in value):
            return ", ".join(map(escape, value)) or _NOTHING
        case _:
            return _json(value)


def _in_lines(value: object) -> str:
    """A value that may take more than one line."""
    nested = isinstance(value, Mapping) or (
        isinstance(value, list) and any(isinstance(item, Mapping | list) for item in value)
    )
    return _json(value, indent=2) if nested and value else _in_a_line(value)
