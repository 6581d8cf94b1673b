"""A LangGraph project as its author left it: `langgraph.json` read as an agent's project.

The file's form is described in LangGraph's CLI reference. What is said there of another server (`auth`, `http`,
`ui`) or of what this runtime brings itself (`checkpointer`) is not followed, and the log says so.
"""

import json
import os
import re
import tomllib
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from agent_runtime.errors import BadProject

LANGGRAPH_FILE = "langgraph.json"
_PROJECT_FILE = "agent.toml"

GRAPH_SPEC = re.compile(r"([A-Za-z_]\w*(\.[A-Za-z_]\w*)*|[^:\x00]+\.py):[A-Za-z_]\w*")
_NAME = re.compile(r"[^\s/\\\x00-\x1f\x7f]{1,255}")
_REQUIREMENT = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)\s*(\[[^\]]*\])?\s*([<>=!~;@ ].*)?")
_INDEX_FIELDS = ("dims", "embed", "fields")

_NOT_FOLLOWED = {
    "checkpointer": "conversations are kept in the agent's own database",
    "auth": "A2A_TOKENS says who may call",
    "http": "routes of its own are not served",
    "ui": "components of a user interface are not served",
    "webhooks": "push notifications follow the rules of the agent",
}


class LangGraphProject:
    """What a `langgraph.json` says. Raises `BadProject` naming the field and what is accepted."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory.resolve()
        self._document = _read(self.directory / LANGGRAPH_FILE)
        self.descriptions: dict[str, str] = {}
        self.graphs = self._graphs()
        self.notes = [
            f"{name} is not followed: {why}" for name, why in _NOT_FOLLOWED.items() if name in self._document
        ]
        self.store_index = self._store_index()

    def _graphs(self) -> dict[str, str]:
        found = self._document.get("graphs")
        if not isinstance(found, dict) or not found:
            raise _refused("graphs", 'should name at least one graph, such as {"agent": "./agent.py:graph"}')
        graphs = {}
        for name, given in found.items():
            spec = given.get("path") if isinstance(given, dict) else given
            if isinstance(given, dict) and isinstance(given.get("description"), str):
                self.descriptions[name] = given["description"]
            if not _NAME.fullmatch(name):
                raise _refused(
                    f"graphs.{name}", "the name of a graph has 1 to 255 characters, none of them / or a blank"
                )
            if isinstance(spec, str) and re.search(r"\.[cm]?[jt]sx?:", spec):
                raise _refused(
                    f"graphs.{name}", f"{spec!r} is a graph in JavaScript; accepted are graphs in Python"
                )
            if not isinstance(spec, str) or not GRAPH_SPEC.fullmatch(spec):
                raise _refused(f"graphs.{name}", f'{spec!r} is not file:attribute, such as "./agent.py:graph"')
            graphs[name] = spec
        return graphs

    def _store_index(self) -> Mapping[str, Any] | None:
        store = self._document.get("store")
        if not isinstance(store, dict):
            return None
        index = store.get("index")
        if "ttl" in store:
            self.notes.append("store.ttl is not followed: what is stored stays until it is deleted")
        if index is None:
            return None
        if (
            not isinstance(index, dict)
            or not isinstance(index.get("dims"), int)
            or not isinstance(index.get("embed"), str)
        ):
            raise _refused(
                "store.index", 'needs "dims", a number, and "embed", such as "openai:text-embedding-3-small"'
            )
        return {name: index[name] for name in _INDEX_FIELDS if name in index}

    def environment(self) -> dict[str, str]:
        """Return the variables that it sets: those of a file, or its own."""
        given = self._document.get("env") or {}
        if isinstance(given, str):
            file = self.directory / given
            if not file.is_file():
                return {}  # as with LangGraph's own command: an example is shipped, the file is each developer's
            try:
                return {name: value for name, value in dotenv_values(file).items() if value is not None}
            except (OSError, UnicodeError) as error:
                raise _refused("env", f"{given} cannot be read: {error}") from None
        if not isinstance(given, dict):
            raise _refused("env", "should be the path of a file, or an object of names and values")
        return {str(name): str(value) for name, value in given.items()}

    def paths(self) -> tuple[Path, ...]:
        """Return the directories that it imports from. Raises `BadProject` for what is missing."""
        given = self._document.get("dependencies", ["."])
        if not isinstance(given, list) or not all(isinstance(one, str) for one in given):
            raise _refused("dependencies", "should be a list of directories and packages")
        paths = []
        for dependency in given:
            place = (self.directory / dependency).resolve()
            if dependency.startswith(".") or place.is_dir():
                if not place.is_dir():
                    raise _refused("dependencies", f"there is no directory {dependency!r}")
                paths += [place, *([place / "src"] if (place / "src").is_dir() else [])]
            else:
                _check_installed(dependency)
        return tuple(dict.fromkeys(paths))


def is_langgraph_project(directory: Path) -> bool:
    """Tell whether the directory has a `langgraph.json`, and no `agent.toml`, which would say more."""
    return (directory / LANGGRAPH_FILE).is_file() and not (directory / _PROJECT_FILE).is_file()


def follows_langgraph_file(directory: Path) -> bool:
    """Tell whether a `langgraph.json` says what the project needs: it stands alone, or `agent.toml` names it."""
    if not (directory / _PROJECT_FILE).is_file():
        return (directory / LANGGRAPH_FILE).is_file()
    try:
        return "langgraph" in tomllib.loads((directory / _PROJECT_FILE).read_text("utf-8"))
    except (OSError, UnicodeError, tomllib.TOMLDecodeError):
        return False  # whoever reads the rest of it says what is wrong


def set_environment(directory: Path) -> None:
    """Put what the project sets into the environment, unless it is there. Raises `BadProject`."""
    if follows_langgraph_file(directory):
        for name, value in LangGraphProject(directory).environment().items():
            os.environ.setdefault(name, value)


def store_index_of(directory: Path) -> Mapping[str, Any] | None:
    """Return the semantic index of the store that the project asks for, if it does. Raises `BadProject`."""
    return LangGraphProject(directory).store_index if follows_langgraph_file(directory) else None


def _read(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text("utf-8-sig"))
    except (OSError, UnicodeError, ValueError) as error:
        raise BadProject(f"{LANGGRAPH_FILE}: cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise BadProject(f"{LANGGRAPH_FILE}: should be an object")
    return document


def _check_installed(dependency: str) -> None:
    match = _REQUIREMENT.fullmatch(dependency.strip())
    if match is None:
        raise _refused("dependencies", f"{dependency!r} is neither a directory (./…) nor a package")
    try:
        distribution(match[1])
    except PackageNotFoundError:
        raise _refused("dependencies", f"{match[1]} is not installed; pip install {match[1]!r}") from None


def _refused(field: str, what: str) -> BadProject:
    return BadProject(f"{LANGGRAPH_FILE}: {field}: {what}")
