"""Named SQL statements, kept in a `.sql` file beside the code that runs them.

A file holds statements of this form, and nothing else:

    -- name: find_thread
    -- Why the statement is the way it is, when that is not plain.
    SELECT ...;
"""

import re
from importlib import resources
from typing import LiteralString, cast

_HEADER = re.compile(r"^-- name: *(\w+) *$", re.MULTILINE)


class Queries:
    """The statements of one file, as attributes: `queries.find_thread`."""

    def __init__(self, package: str, filename: str = "queries.sql") -> None:
        """Reads `filename` from `package`. Raises `ValueError` when a name is missing or given twice."""
        text = resources.files(package).joinpath(filename).read_text("utf-8")
        self._source = f"{package}/{filename}"
        self._statements = _split(text, self._source)

    def __getattr__(self, name: str) -> LiteralString:
        try:
            return self._statements[name]
        except KeyError:
            raise AttributeError(f"{self._source} has no statement named {name}") from None


def _split(text: str, source: str) -> dict[str, LiteralString]:
    leading, *rest = _HEADER.split(text)
    if re.sub(r"--.*", "", leading).strip():
        raise ValueError(f"{source}: a statement before the first '-- name:'")
    statements: dict[str, LiteralString] = {}
    for name, body in zip(rest[::2], rest[1::2], strict=True):
        if name in statements:
            raise ValueError(f"{source}: the name {name} is given twice")
        # A statement comes from a file shipped with the package, so it is as literal as source code.
        statements[name] = cast("LiteralString", body.strip().removesuffix(";"))
    return statements
