"""From a LangGraph project to the text of an `agent.toml` for it. Nothing is written here."""

import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scaffold.errors import CannotAdopt

LANGGRAPH_FILE = "langgraph.json"
PROJECT_FILE = "agent.toml"

_SPEC = re.compile(r"[^:\x00]+:[A-Za-z_]\w*")
_JAVASCRIPT = re.compile(r"\.[cm]?[jt]sx?:")


@dataclass(frozen=True)
class Inferred:
    """What a project says about itself. `graphs` are their places by name, the first one answers A2A."""

    name: str
    description: str
    version: str = "0.1.0"
    graphs: dict[str, str] = field(default_factory=dict)


def infer(directory: Path) -> Inferred:
    """Read `langgraph.json`, and `pyproject.toml` where there is one. Raises `CannotAdopt`."""
    document = _read_json(directory / LANGGRAPH_FILE)
    written = document.get("graphs")
    if not isinstance(written, dict) or not written:
        raise CannotAdopt(f'{LANGGRAPH_FILE}: graphs: should name at least one graph, such as "./agent.py:graph"')
    descriptions: dict[str, str] = {}
    graphs: dict[str, str] = {}
    for name, given in written.items():
        spec = given.get("path") if isinstance(given, dict) else given
        if not isinstance(spec, str) or not _SPEC.fullmatch(spec) or _JAVASCRIPT.search(spec):
            raise CannotAdopt(f"{LANGGRAPH_FILE}: graphs.{name}: {spec!r} is not file.py:attribute")
        graphs[name] = spec
        if isinstance(given, dict) and isinstance(given.get("description"), str):
            descriptions[name] = given["description"]
    first = next(iter(graphs))
    package = _package(directory)
    description = descriptions.get(first) or package.get("description")
    return Inferred(
        first,
        description or f"The LangGraph graph {first} of {directory.resolve().name}.",
        package.get("version", "0.1.0"),
        graphs,
    )


def agent_toml(inferred: Inferred) -> str:
    """Return the file."""
    graphs = "\n".join(f"{_quoted(name)} = {_quoted(spec)}" for name, spec in inferred.graphs.items())
    return f"""\
# What this agent shows to others. Written by `scaffold adopt`; everything here may be changed.

langgraph = "{LANGGRAPH_FILE}"            # where its dependencies, its env and its store's index stand

[graphs]                                # each is an assistant of LangGraph's API
{graphs}

[serve]
graph = {_quoted(inferred.name)}        # answers A2A

[card]
name = {_quoted(inferred.name)}
description = {_quoted(inferred.description)}
version = {_quoted(inferred.version)}

[[card.skills]]
id = "chat"
name = {_quoted(inferred.name)}
description = {_quoted(inferred.description)}
tags = ["chat"]

# Prompts, MCP servers, other agents and prices may stand here, too: [prompts.NAME], [mcp.NAME], [a2a.NAME].
"""


def write_agent_toml(directory: Path) -> Inferred:
    """Write the file into a LangGraph project, and nothing else. Raises `CannotAdopt`."""
    file = directory / PROJECT_FILE
    inferred = infer(directory)
    text = agent_toml(inferred)
    try:
        with file.open("x", encoding="utf-8", newline="\n") as opened:
            opened.write(text)
    except FileExistsError:
        raise CannotAdopt(f"{file} is there already; nothing is ever overwritten") from None
    except OSError as error:
        raise CannotAdopt(f"cannot write {file}: {error.strerror or error}") from error
    return inferred


def _read_json(file: Path) -> dict[str, Any]:
    try:
        document = json.loads(file.read_text("utf-8-sig"))
    except FileNotFoundError:
        raise CannotAdopt(f"there is no {LANGGRAPH_FILE} in {file.parent.resolve()}") from None
    except (OSError, UnicodeError, ValueError) as error:
        raise CannotAdopt(f"{LANGGRAPH_FILE}: cannot be read: {error}") from None
    if not isinstance(document, dict):
        raise CannotAdopt(f"{LANGGRAPH_FILE}: should be an object")
    return document


def _package(directory: Path) -> dict[str, str]:
    """What `pyproject.toml` says of the project; nothing where it cannot be read: it is somebody else's."""
    try:
        project = tomllib.loads((directory / "pyproject.toml").read_text("utf-8")).get("project", {})
    except (OSError, UnicodeError, tomllib.TOMLDecodeError):
        return {}
    known = {name: project.get(name) for name in ("description", "version")}
    return {name: value for name, value in known.items() if isinstance(value, str) and value.strip()}


def _quoted(text: str) -> str:
    """The text as a string of TOML, which is one of JSON but for one character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
