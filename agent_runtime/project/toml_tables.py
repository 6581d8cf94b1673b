"""Reading a TOML table field by field, so that every mistake is one line that names the field."""

import difflib
import re
import tomllib
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, NoReturn

from agent_runtime.errors import BadProject

_VARIABLE = re.compile(r"(?P<escaped>\$)?\$\{(?P<name>[^}]*)\}?")
_VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")

_TOML_KINDS: dict[type, str] = {
    bool: "a boolean",
    int: "an integer",
    float: "a number",
    str: "a string",
    list: "an array",
    dict: "a table",
    type(None): "null",
}


class Table:
    """One table of a TOML file. Reading a field takes it out; `done` refuses what nobody asked for."""

    def __init__(self, file: str, path: str, content: dict[str, Any]) -> None:
        self._file = file
        self._path = path
        self._content = dict(content)
        self._known: list[str] = []

    def field(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name

    def refuse(self, name: str, message: str) -> NoReturn:
        where = self.field(name) if name else self._path
        raise BadProject(": ".join(filter(None, (self._file, where, message))))

    def has(self, name: str) -> bool:
        self._known.append(name)
        return name in self._content

    def text(self, name: str, default: str | None = None) -> str:
        """A string that is not blank; required unless there is a default."""
        value = self._take(name, str, "a string")
        if value is None:
            if default is None:
                self.refuse(name, "is missing; a string is required")
            return default
        if not value.strip():
            self.refuse(name, "is empty; a string that says something is required")
        return str(value)

    def texts(self, name: str, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """An array of strings."""
        value = self._take(name, list, "an array of strings")
        if value is None:
            return default
        for position, item in enumerate(value):
            if not isinstance(item, str):
                self.refuse(f"{name}[{position}]", f"must be a string, not {_kind(item)}")
        return tuple(value)

    def number(self, name: str, least: float, most: float) -> float | None:
        """A number within bounds; `None` where there is none."""
        accepted = f"a number from {least:g} to {most:g}"
        value = self._take(name, (int, float), accepted)
        if value is not None and (isinstance(value, bool) or not least <= value <= most):
            self.refuse(name, f"must be {accepted}")
        return None if value is None else float(value)

    def integer(self, name: str, least: int, most: int) -> int | None:
        """A whole number within the bounds; None where there is none."""
        value = self._take(name, int, "an integer")
        if value is None:
            return None
        if isinstance(value, bool) or not least <= value <= most:
            self.refuse(name, f"must be an integer from {least} to {most}")
        return int(value)

    def text_map(self, name: str) -> dict[str, str]:
        """A table of strings."""
        value = self._take(name, dict, "a table of strings") or {}
        for key, item in value.items():
            if not isinstance(item, str):
                self.refuse(f"{name}.{key}", f"must be a string, not {_kind(item)}")
        return dict(value)

    def table(self, name: str) -> "Table":
        """A table inside this one; a missing one reads as empty."""
        return Table(self._file, self.field(name), self._take(name, dict, "a table") or {})

    def tables(self, name: str) -> list["Table"]:
        """An array of tables (`[[name]]`)."""
        items = self._take(name, list, f"an array of tables, written [[{self.field(name)}]]") or []
        found = []
        for position, item in enumerate(items):
            if not isinstance(item, dict):
                self.refuse(f"{name}[{position}]", f"must be a table, not {_kind(item)}")
            found.append(Table(self._file, f"{self.field(name)}[{position}]", item))
        return found

    def named_tables(self, name: str) -> dict[str, "Table"]:
        """The tables `[name.x]` by their x."""
        return self.table(name).each_table()

    def each_table(self) -> dict[str, "Table"]:
        """The tables in this one, which holds nothing else, by their names."""
        return {key: self.table(key) for key in list(self._content)}

    def rest(self) -> dict[str, Any]:
        """Everything that was not read yet, as it is."""
        rest, self._content = self._content, {}
        return rest

    def names(self) -> list[str]:
        """The fields that were not read yet."""
        return list(self._content)

    def done(self) -> None:
        """Raises `BadProject` for the first field that was not read, naming the one that may be meant."""
        for name in self._content:
            close = difflib.get_close_matches(name, self._known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            self.refuse(name, f"is not known here; accepted are {', '.join(sorted(set(self._known)))}{hint}")

    def _take(self, name: str, kind: type | tuple[type, ...], wanted: str) -> Any:
        self._known.append(name)
        if name not in self._content:
            return None
        value = self._content.pop(name)
        if not isinstance(value, kind):
            self.refuse(name, f"must be {wanted}, not {_kind(value)}")
        return value


def read_table(path: Path) -> Table:
    """The file as a table. Raises `BadProject` when it is missing, unreadable or not TOML."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise BadProject(
            f"{path.name}: there is no such file in {path.parent}; start in a project's directory"
        ) from None
    except OSError as error:
        raise BadProject(f"{path.name}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise BadProject(f"{path.name}: is not UTF-8 text") from None
    except tomllib.TOMLDecodeError as error:
        raise BadProject(f"{path.name}: is not valid TOML: {error}") from None
    return Table(path.name, "", content)


def expand(
    text: str,
    environment: Mapping[str, str],
    refuse: Callable[[str], NoReturn],
    withheld: Collection[str] = (),
) -> tuple[str, list[str]]:
    """Puts the environment's values where `${NAME}` stands, and returns them too. `$${` is a literal `${`.

    Values of the names in `withheld` are for nobody.
    """
    values: list[str] = []

    def value_of(match: re.Match[str]) -> str:
        if match["escaped"]:
            return match[0][1:]
        name = match["name"]
        if not _VARIABLE_NAME.fullmatch(name) or not match[0].endswith("}"):
            refuse(f"{match[0]!r} is not ${{NAME}}; write $${{ for a literal ${{")
        if name in withheld:
            refuse(f"{name} is the agent's own secret and is not given away; use a variable of another name")
        if name not in environment:
            refuse(f"{name} is not set; set it in the environment or in .env")
        values.append(environment[name])
        return environment[name]

    return _VARIABLE.sub(value_of, text), values


def _kind(value: object) -> str:
    return _TOML_KINDS.get(type(value), "a date or time")
