"""How the demo looks: one column, few colours, and nothing that moves unless somebody is watching."""

import re
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from http import HTTPStatus
from typing import Any

from rich.cells import cell_len
from rich.console import Console, Group
from rich.highlighter import JSONHighlighter
from rich.rule import Rule
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from demo.calls import CONTINUED, Call
from demo.json_text import abridge, lay_out

WIDEST = 110
_MARGIN = 2
_SPEAKER = 8  # columns for who speaks
_NOTICEABLE_SECONDS = 0.05
_PIECES = re.compile(r"\n|[^\S\n]*\S+|[^\S\n]+")  # a word with the blanks before it, or the end of a line


class Screen:
    """Everything that is printed goes through here, and to standard output."""

    def __init__(self) -> None:
        # A terminal that cannot show a character gets another one, and no traceback.
        if reconfigure := getattr(sys.stdout, "reconfigure", None):
            reconfigure(errors="replace")
        console = Console(highlight=False)
        self._console = Console(highlight=False, width=min(console.width, WIDEST))
        # FORCE_COLOR may make a terminal of a pipe for rich; what moves is still only for those who watch.
        self._moves = sys.stdout.isatty() and not self._console.is_dumb_terminal

    def title(self, title: str, text: str) -> None:
        self._console.print()
        self._print(Text(title, style="bold"))
        self.say(text)

    def heading(self, number: int, total: int, title: str) -> None:
        self._console.print()
        text = Text.assemble((f"{number}/{total}", "dim"), "  ", (title, "bold"))
        self._console.print(Rule(text, align="left", style="dim"))

    def banner(self, title: str) -> None:
        """The beginning of a part that is not a step."""
        self._console.print()
        self._console.print(Rule(Text(title, style="bold"), align="left", style="dim"))

    def say(self, text: str) -> None:
        """A sentence or two; what stands between backquotes is set off."""
        self._console.print()
        self._print(_prose(text))

    def note(self, text: str) -> None:
        """An aside."""
        self._print(Text(text, style="dim"))

    def check(self, text: str) -> None:
        """Something that was looked at, and holds."""
        row = Table.grid(padding=(0, 1))
        row.add_row(Text("✓", style="bold green"), _prose(text))
        self._print(row)

    def command(self, *lines: str) -> None:
        """Commands as they can be typed, or copied from here."""
        self._console.print()
        for line in lines:
            # However long it is, the terminal is left to break it, so that it stays one line when copied.
            self._console.print(Text.assemble(" " * _MARGIN, ("$ ", "dim"), (line, "bold cyan")), soft_wrap=True)

    def curl(self, call: Call) -> None:
        """A call as it can be typed; an option and its value stay together."""
        room = self._console.width - _MARGIN - len("$ ") - len(" \\")
        line, *groups = call.curl()
        lines = []
        for group in groups:
            # Nothing is won by a line break behind `curl` alone.
            if line == "curl" or len(line) + 1 + len(group.partition("\n")[0]) <= room:
                line += f" {group}"
            else:
                lines.append(f"{line} \\\n")
                line = " " * CONTINUED + group
        self.command("".join([*lines, line]))

    def answer(self, status: int, value: Any) -> None:
        """A JSON answer, shortened where it is long."""
        short = abridge(value)
        room = self._console.width - _MARGIN - len("200 ")
        row = Table.grid(padding=(0, 1))
        row.add_row(
            Text(str(status), style="bold green" if status < HTTPStatus.BAD_REQUEST else "bold yellow"),
            Group(*(self._json_line(line, room) for line in lay_out(short, room).splitlines())),
        )
        self._print(row)
        if short != value:
            self.note("    (shortened here)")

    def document(self, value: Any) -> None:
        """A JSON document, whole."""
        self._console.print()
        room = self._console.width - 2 * _MARGIN
        for line in lay_out(value, room).splitlines():
            self._print(self._json_line(line, room))

    def files(self, root: str, files: Sequence[tuple[str, str]]) -> None:
        """A directory and what is in it, a line each."""
        tree = Tree(Text(root, style="bold"), guide_style="dim")
        widest = max(cell_len(name) for name, _ in files)
        for name, meaning in files:
            tree.add(Text.assemble((name.ljust(widest), "cyan"), "  ", (meaning, "dim")))
        self._console.print()
        self._print(tree)

    def lines(self, lines: Sequence[str], at_most: int | None = None) -> None:
        """What a program printed, line by line."""
        for line in lines[:at_most]:
            self._print(Text(line, style="dim", overflow="fold"))
        if hidden := len(lines) - len(lines[:at_most]):
            self.note(f"… and {hidden} more lines")

    def table(self, rows: Sequence[tuple[str, str]]) -> None:
        """Names and what they stand for."""
        table = Table.grid(padding=(0, 3))
        table.add_column(style="dim", no_wrap=True)
        table.add_column(overflow="fold")
        for name, value in rows:
            table.add_row(name, _prose(value))
        self._console.print()
        self._print(table)

    def failure(self, title: str, reason: str) -> None:
        self._console.print()
        self._print(Text.assemble(("✗ ", "bold red"), (title, "bold red")))
        self._print(Text(reason))

    def you(self, text: str) -> None:
        self._console.print()
        self._print(Text.assemble(("you".ljust(_SPEAKER), "bold magenta"), text))

    def agent(self) -> "Speech":
        """The agent begins to speak."""
        return Speech(self._console)

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Shows that something goes on; on a terminal, with something that turns."""
        turning: AbstractContextManager[Any] = nullcontext()
        if self._moves:
            turning = self._console.status(Text(text, style="dim"), spinner="dots")
        with turning:
            yield

    def _print(self, what: Any) -> None:
        """Prints in the column, without the blanks that would fill the lines up to the edge."""
        room = self._console.options.update_width(self._console.width - _MARGIN)
        for line in self._console.render_lines(what, room, pad=False):
            while line and not line[-1].text.strip():
                line.pop()
            if line:
                line[-1] = Segment(line[-1].text.rstrip(), line[-1].style)
            self._console.print(Segments([Segment(" " * _MARGIN), *line, Segment.line()]), end="")

    def _json_line(self, line: str, room: int) -> Text:
        """A line of laid-out JSON; what does not fit goes on under it, further in than anything else."""
        indent = len(line) - len(line.lstrip())
        text = JSONHighlighter()(Text(line.lstrip()))
        if text.cell_len <= room - indent:
            return Text.assemble(" " * indent, text)
        first, *others = text.wrap(self._console, max(room - indent - 4, 20))
        return Text("\n").join(
            [Text.assemble(" " * indent, first), *(Text.assemble(" " * (indent + 4), more) for more in others)]
        )


class Speech:
    """What the agent says, written as it comes in, and wrapped; after some lines the rest is only counted."""

    def __init__(self, console: Console, most_lines: int = 5) -> None:
        self.text = ""
        """All of it, shown or not."""
        self._console = console
        self._lines_left = most_lines
        self._rest = ""  # the last word, of which there may be more to come
        self._hidden = 0
        self._began = time.monotonic()
        self._first_words = 0.0
        self._column = _MARGIN + _SPEAKER
        self._console.print(Text(" " * _MARGIN + "agent".ljust(_SPEAKER), style="bold blue"), end="")

    def words(self, text: str) -> None:
        """The next piece of the answer, which may begin and end within a word."""
        self._first_words = self._first_words or time.monotonic() - self._began
        self.text += text
        *pieces, self._rest = _PIECES.findall(self._rest + text) or [""]
        for piece in pieces:
            self._put(piece)

    def progress(self, text: str) -> None:
        """What the agent does before it goes on."""
        self._write(f"· {text}", "yellow")
        self._end_line()

    def end(self) -> None:
        """It has said everything."""
        self._finish()
        whole = time.monotonic() - self._began
        streamed = whole - self._first_words > _NOTICEABLE_SECONDS
        first = f"first words after {self._first_words:.2f} s, all of it " if streamed else ""
        self._aside(f"{first}after {whole:.2f} s")

    def cut_off(self, reason: str) -> None:
        """It was interrupted."""
        self._finish()
        self._aside(reason)

    def _put(self, piece: str) -> None:
        if self._lines_left == 0:
            self._hidden += len(piece)
        elif piece == "\n":
            self._end_line()
        elif self._column and self._column + cell_len(piece) > self._console.width:
            self._end_line()
            self._put(piece.lstrip())
        else:
            self._write(piece)

    def _finish(self) -> None:
        self._put(self._rest)
        if self._column:
            self._end_line()
        if self._hidden:
            self._aside(f"… and {self._hidden:,} more characters")

    def _end_line(self) -> None:
        self._console.print()
        self._column = 0
        self._lines_left -= 1

    def _write(self, text: str, style: str = "") -> None:
        if self._column == 0:
            self._column = _MARGIN + _SPEAKER
            self._console.print(" " * self._column, end="")
        self._console.print(Text(text, style=style), end="", soft_wrap=True)
        self._column += cell_len(text)

    def _aside(self, text: str) -> None:
        self._console.print(Text(" " * (_MARGIN + _SPEAKER) + text, style="dim"))


def _prose(text: str) -> Text:
    """What stands between backquotes is set off; the backquotes stay, for those who see no colours."""
    prose = Text(text)
    prose.highlight_regex(r"`[^`]+`", "cyan")
    return prose
