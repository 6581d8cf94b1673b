"""`registry components apply`: bringing a registry's components to what files say."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import typer
from pydantic import ConfigDict, TypeAdapter

from groundwork.command import CANNOT, complain
from groundwork.output import escape
from registry.checks import Body, check_value, is_id, refuse_unstorable_text
from registry.cli.client import CallRefused, RegistryCalls, RegistryNotReached
from registry.cli.common import PROGRAM
from registry.cli.documents import STDIN, read_documents
from registry.cli.paths import component_path
from registry.components.contents import read_content
from registry.components.models import MAX_REFERENCES, StoredKind
from registry.components.secrecy import hide_secrets
from registry.errors import InvalidRequest, PayloadTooLarge

Result = Literal["created", "changed", "unchanged", "failed"]

_SUFFIXES = (".yaml", ".yml", ".json")


class _Document(Body):
    model_config = ConfigDict(extra="forbid")

    kind: StoredKind
    id: str
    content: dict[str, Any]


_DOCUMENT = TypeAdapter(_Document)


@dataclass(frozen=True)
class Wanted:
    """What a component is to say."""

    kind: StoredKind
    component_id: str
    content: Mapping[str, Any]
    digest: str


@dataclass(frozen=True)
class Applied:
    wanted: Wanted
    result: Result
    version: int | None
    error: str | None = None

    def shown(self) -> dict[str, Any]:
        return {
            "kind": self.wanted.kind,
            "id": self.wanted.component_id,
            "version": self.version,
            "result": self.result,
            "error": self.error,
        }


def read_wanted(path: Path) -> list[Wanted]:
    """The components in a file, or in all files of a directory. Raises `typer.Exit`, once all that is wrong with
    them is said."""
    wanted: list[Wanted] = []
    problems: list[str] = []
    for where, document in _documents_in(path):
        try:
            wanted.append(_read(document))
        except InvalidRequest as error:
            problems += [f"{where}: {problem}" for problem in error.problems]
        except PayloadTooLarge as error:
            problems.append(f"{where}: {error}")
    named = Counter(f"{one.kind} {one.component_id}" for one in wanted)
    problems += [f"{name} is given more than once" for name, times in named.items() if times > 1]
    for problem in problems:
        complain(PROGRAM, escape(problem))
    if problems:
        raise typer.Exit(1)
    return wanted


async def apply_all(registry: RegistryCalls, wanted: Sequence[Wanted], *, dry_run: bool) -> list[Applied]:
    """Sends what differs, in the order that was given; each only if nobody has changed it since it was looked at.
    One that fails holds up no other."""
    there = await _versions_there(registry, wanted)
    applied = []
    for one, found in zip(wanted, there, strict=True):
        if found["found"] and found["digest"] == one.digest:
            applied.append(Applied(one, "unchanged", found["version"]))
        elif dry_run:
            applied.append(Applied(one, "changed" if found["found"] else "created", found.get("version")))
        else:
            applied.append(await _send(registry, one, found.get("version")))
    return applied


async def _versions_there(registry: RegistryCalls, wanted: Sequence[Wanted]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for begin in range(0, len(wanted), MAX_REFERENCES):
        refs = [
            {"kind": one.kind, "id": one.component_id, "digest": one.digest}
            for one in wanted[begin : begin + MAX_REFERENCES]
        ]
        found += (await registry.post("/components/resolve", {"refs": refs}))["components"]
    return found


async def _send(registry: RegistryCalls, wanted: Wanted, current: int | None) -> Applied:
    only_if = {"If-None-Match": "*"} if current is None else {"If-Match": f'"{current}"'}
    path = component_path(wanted.kind, wanted.component_id)
    try:
        written = await registry.put(path, wanted.content, only_if)
    except (CallRefused, RegistryNotReached) as error:
        return Applied(wanted, "failed", current, str(error))
    return Applied(wanted, "created" if current is None else "changed", written["version"])


def _documents_in(path: Path) -> Iterator[tuple[str, Any]]:
    """Each with the words for where it was found. Raises `typer.Exit`."""
    for file in _files_in(path):
        for number, document in enumerate(read_documents(file), start=1):
            if document is not None:  # as YAML has it after a last `---`
                yield f"{file}, document {number}", document


def _files_in(path: Path) -> Sequence[Path]:
    if path == STDIN or not path.is_dir():
        return [path]
    files = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
    if not files:
        complain(PROGRAM, f"{path}: there is no file ending in {', '.join(_SUFFIXES)} in it")
        raise typer.Exit(CANNOT)
    return files


def _read(document: Any) -> Wanted:
    """Raises `InvalidRequest` and `PayloadTooLarge`."""
    if not isinstance(document, dict):
        raise InvalidRequest("there is no object in it")
    refuse_unstorable_text(document)
    try:
        given = check_value(_DOCUMENT, document)
    except InvalidRequest as error:
        raise InvalidRequest(*map(hide_secrets, error.problems)) from None
    if not is_id(given.id):
        raise InvalidRequest("id: accepted are 1 to 255 printable characters without blanks and slashes")
    return Wanted(given.kind, given.id, given.content, read_content(given.kind, given.content).digest)
