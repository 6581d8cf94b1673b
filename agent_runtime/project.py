"""The project directory as its author wrote it: `agent.toml`, and the graph that it names."""

import importlib
import importlib.machinery
import inspect
import logging
import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph

from agent_runtime.errors import BadProject
from agent_runtime.toml_tables import Table, expand, read_table
from groundwork.mcp_server import McpServer

logger = logging.getLogger(__name__)

PROJECT_FILE = "agent.toml"
REGISTRY_NAME = "registry"
"""What `/status` shows the agent's registry as, among the peers, none of which can have the name."""

Graph = StateGraph[Any, Any, Any, Any] | CompiledStateGraph[Any, Any, Any, Any]

_TEXT_MODES = ("text/plain",)
_SOURCE_NAME = re.compile(r"[a-z0-9_-]{1,40}")
_GRAPH_NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*")
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")


@dataclass(frozen=True)
class Skill:
    id: str
    name: str
    description: str
    tags: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class CardSpec:
    """What the author says about the agent; the rest of the card follows from how it is served."""

    name: str
    description: str
    version: str = "0.1.0"
    skills: tuple[Skill, ...] = ()
    default_input_modes: tuple[str, ...] = _TEXT_MODES
    default_output_modes: tuple[str, ...] = _TEXT_MODES


@dataclass(frozen=True)
class Peer:
    """Another A2A agent, by the URL its card is found under."""

    name: str
    url: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class Project:
    """A project directory. `secrets` are the values that may appear in no answer, log line or error."""

    directory: Path
    graph: str
    card: CardSpec
    mcp: Mapping[str, McpServer] = field(default_factory=dict)
    peers: Mapping[str, Peer] = field(default_factory=dict)
    secrets: tuple[str, ...] = field(default=(), repr=False)


def load_project(directory: Path, environment: Mapping[str, str] | None = None) -> Project:
    """Reads `agent.toml`. Raises `BadProject` naming the file, the field and what is accepted.

    `${NAME}` takes its value from `environment`: by default the process's own, over the project's `.env`.
    """
    directory = directory.resolve()
    known = _environment(directory) if environment is None else environment
    root = read_table(directory / PROJECT_FILE)
    graph = root.text("graph")
    if not _GRAPH_NAME.fullmatch(graph):
        root.refuse("graph", f'{graph!r} is not module:attribute, such as "graph:graph"')
    card = _card(root.table("card"))
    outside = _Outside(directory, known)
    mcp = {name: outside.mcp_server(name, table) for name, table in root.named_tables("mcp").items()}
    peers = {name: outside.peer(name, table) for name, table in root.named_tables("a2a").items()}
    root.done()
    return Project(directory, graph, card, mcp, peers, tuple(dict.fromkeys(outside.secrets)))


def load_graph(project: Project) -> Graph:
    """Imports the graph that the project names; a function without arguments is called for it.

    Raises `BadProject` when that fails, or when what it finds cannot hold a conversation.
    """
    module_name, _, attribute = project.graph.partition(":")
    module = _import(project, module_name)
    try:
        found = getattr(module, attribute)
    except AttributeError:
        raise _bad_graph(f"module {module_name!r} has no {attribute!r}") from None
    if not isinstance(found, StateGraph | CompiledStateGraph) and callable(found):
        found = _call(project, found)
    if not isinstance(found, StateGraph | CompiledStateGraph):
        raise _bad_graph(
            f"{project.graph!r} is a {type(found).__name__}; accepted are a LangGraph StateGraph,"
            " compiled or not, or a function without arguments that returns one"
        )
    _check_graph(project, found)
    return found


def _environment(directory: Path) -> dict[str, str]:
    from_file = {name: value for name, value in dotenv_values(directory / ".env").items() if value is not None}
    return {**from_file, **os.environ}


def _card(table: Table) -> CardSpec:
    skills = tuple(_skill(skill) for skill in table.tables("skills"))
    if repeated := {skill.id for skill in skills if [other.id for other in skills].count(skill.id) > 1}:
        table.refuse("skills", f"the id {min(repeated)!r} is used twice; every skill needs one of its own")
    name, description = table.text("name"), table.text("description")
    card = CardSpec(
        name=name,
        description=description,
        version=table.text("version", "0.1.0"),
        # A card needs at least one skill; an agent that names none can do what its description says.
        skills=skills or (Skill("chat", name, description, ("chat",)),),
        default_input_modes=_media_types(table, "default_input_modes"),
        default_output_modes=_media_types(table, "default_output_modes"),
    )
    table.done()
    return card


def _skill(table: Table) -> Skill:
    skill = Skill(
        id=table.text("id"),
        name=table.text("name"),
        description=table.text("description"),
        tags=table.texts("tags"),
        examples=table.texts("examples"),
    )
    table.done()
    return skill


def _media_types(table: Table, name: str) -> tuple[str, ...]:
    modes = table.texts(name, _TEXT_MODES)
    if not modes:
        table.refuse(name, 'is empty; at least one media type is required, such as "text/plain"')
    for mode in modes:
        if not all(mode.partition("/")[::2]):
            table.refuse(name, f'{mode!r} is not a media type, such as "text/plain"')
    return modes


class _Outside:
    """Reads what the project connects to, and remembers which of the values are secrets."""

    def __init__(self, directory: Path, environment: Mapping[str, str]) -> None:
        self._directory = directory
        self._environment = environment
        self.secrets: list[str] = []

    def mcp_server(self, name: str, table: Table) -> McpServer:
        _check_source_name(name, table)
        if table.has("url") == table.has("command"):
            table.refuse("", "needs either url (streamable HTTP) or command (stdio), and not both")
        server = self._http_server(name, table) if table.has("url") else self._stdio_server(name, table)
        table.done()
        return server

    def peer(self, name: str, table: Table) -> Peer:
        _check_source_name(name, table)
        if name == REGISTRY_NAME:
            table.refuse("", "the name is taken: /status shows the agent's registry under it; choose another one")
        url = self._url(table)
        token = self._expand(table, "token", table.text("token")).strip() if table.has("token") else ""
        if not token.isprintable() or not token.isascii():
            table.refuse("token", "must be printable ASCII, as it is sent in a header")
        self._keep_secret(token)
        peer = Peer(name, url, token or None)
        table.done()
        return peer

    def _http_server(self, name: str, table: Table) -> McpServer:
        headers = {}
        for key, value in table.text_map("headers").items():
            if not _HEADER_NAME.fullmatch(key):
                table.refuse("headers", f"{key!r} is not a header name")
            headers[key] = self._expand(table, f"headers.{key}", value).strip()
            if not headers[key].isprintable() or not headers[key].isascii():
                table.refuse(f"headers.{key}", "must be printable ASCII")
            self._keep_secret(headers[key])
        return McpServer(name, url=self._url(table), headers=headers)

    def _stdio_server(self, name: str, table: Table) -> McpServer:
        args = []
        for position, argument in enumerate(table.texts("args")):
            args.append(self._expand(table, f"args[{position}]", argument))
        env = {key: self._expand(table, f"env.{key}", text) for key, text in table.text_map("env").items()}
        cwd = self._directory / self._expand(table, "cwd", table.text("cwd", "."), secret=False)
        if not cwd.is_dir():
            table.refuse("cwd", f"there is no directory {cwd}")
        command = self._expand(table, "command", table.text("command"), secret=False)
        return McpServer(name, command=command, args=tuple(args), env=env, cwd=cwd.resolve())

    def _url(self, table: Table) -> str:
        written = table.text("url")
        url, values = expand(written, self._environment, lambda message: table.refuse("url", message))
        url = url.strip()
        accepted = "must be an absolute http or https URL with a host"
        try:
            parts = urlsplit(url)
            usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
        except ValueError:
            table.refuse("url", accepted)
        if not usable or not url.isprintable() or " " in url:
            table.refuse("url", accepted)
        if parts.fragment:
            table.refuse("url", "must not have a fragment (#...)")
        # The host may come from the environment and is no secret; a key in the path or the query is.
        for secret in (parts.password, parts.query, *(value for value in values if value in parts.path)):
            self._keep_secret((secret or "").strip("/"))
        return url

    def _expand(self, table: Table, name: str, text: str, *, secret: bool = True) -> str:
        expanded, values = expand(text, self._environment, lambda message: table.refuse(name, message))
        if secret:
            for value in values:
                self._keep_secret(value)
        return expanded

    def _keep_secret(self, value: str) -> None:
        if value:
            self.secrets.append(value)


def _check_source_name(name: str, table: Table) -> None:
    if not _SOURCE_NAME.fullmatch(name):
        table.refuse("", "the name begins tool names; accepted are 1 to 40 characters of a-z, 0-9, _ and -")


def _import(project: Project, name: str) -> Any:
    directory = str(project.directory)
    if sys.path[:1] != [directory]:
        sys.path[:] = [directory, *(entry for entry in sys.path if entry != directory)]
    importlib.invalidate_caches()
    _forget_namesake(directory, name.partition(".")[0])
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        logger.debug("importing the graph failed", exc_info=True)
        if error.name == name:
            raise _bad_graph(f"there is no module {name!r} in {directory}") from error
        raise _bad_graph(f"module {name!r} needs {error.name!r}, which is not installed") from error
    except (Exception, SystemExit) as error:
        raise _broken(f"importing module {name!r} failed", error) from error


def _forget_namesake(directory: str, name: str) -> None:
    """Two projects may both have a `graph.py`; the one that Python imported before is not this project's."""
    loaded = sys.modules.get(name)
    here = importlib.machinery.PathFinder.find_spec(name, [directory])
    if loaded is None or here is None or getattr(loaded, "__file__", None) == here.origin:
        return
    for known in [known for known in sys.modules if known == name or known.startswith(f"{name}.")]:
        del sys.modules[known]


def _call(project: Project, function: Any) -> Any:
    try:
        inspect.signature(function).bind()
    except (TypeError, ValueError):
        raise _bad_graph(f"{project.graph!r} needs arguments; accepted is a function without any") from None
    if inspect.iscoroutinefunction(function):
        raise _bad_graph(f"{project.graph!r} is an async function; accepted is an ordinary one")
    try:
        return function()
    except (Exception, SystemExit) as error:
        raise _broken(f"calling {project.graph!r} failed", error) from error


def _check_graph(project: Project, graph: Graph) -> None:
    builder = graph if isinstance(graph, StateGraph) else graph.builder
    for schema, purpose in ((builder.state_schema, "state"), (builder.input_schema, "input")):
        if "messages" not in builder.schemas[schema]:
            raise _bad_graph(
                f"the {purpose} of {project.graph!r} has no 'messages'; MessagesState is a good start"
            )
    if isinstance(graph, StateGraph):
        try:
            graph.compile()
        except (ValueError, TypeError) as error:
            raise _broken(f"{project.graph!r} does not compile", error) from error


def _broken(what: str, error: BaseException) -> BadProject:
    logger.debug(what, exc_info=error)
    cause = " ".join(f"{type(error).__name__}: {error}".split()).removesuffix(":")
    return _bad_graph(f"{what}: {cause}")


def _bad_graph(message: str) -> BadProject:
    return BadProject(f"{PROJECT_FILE}: graph: {message}")
