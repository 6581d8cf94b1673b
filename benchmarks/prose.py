"""Things to say that read like what people say: pieces of this project's own pages."""

from functools import cache
from pathlib import Path

from benchmarks.subject import ROOT

_PAGES = ("README.md", "CONTRIBUTING.md", "docs/*.md", "docs/decisions/*.md")


@cache
def _all_of_it() -> str:
    pages = sorted(path for pattern in _PAGES for path in ROOT.glob(pattern))
    return "\n".join(map(_read, pages))


def _read(page: Path) -> str:
    return page.read_text("utf-8").encode("ascii", "ignore").decode()


def piece(number: int, length: int) -> str:
    """The `number`-th piece; pieces close to each other are different ones."""
    text = _all_of_it()
    start = number * 7_919 % (len(text) - length)
    return text[start : start + length]
