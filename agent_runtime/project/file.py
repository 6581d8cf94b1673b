"""The project directory as its author wrote it, in `agent.toml`."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from agent_runtime.errors import BadProject
from agent_runtime.project.costs import read_budget, read_prices
from agent_runtime.project.langgraph_json import GRAPH_SPEC, LANGGRAPH_FILE, LangGraphProject, is_langgraph_project
from agent_runtime.project.outbound import OutboundReader, Peer, check_source_name
from agent_runtime.project.slots import Kind, Prompt, Slot
from agent_runtime.project.template import BadTemplate, parse_template
from agent_runtime.project.toml_tables import Table, read_table
from agent_runtime.turn_records.prices import BudgetLimits, Prices
from groundwork.http.labels import check_labels
from groundwork.outgoing.mcp_server import McpServer

PROJECT_FILE = "agent.toml"

_TEXT_MODES = ("text/plain",)
_PROMPT_NAME = re.compile(r"[A-Za-z0-9_-]{1,40}")
_COMPONENT_ID = re.compile(r"[^\s/\\\x00-\x1f\x7f]{1,255}")


@dataclass(frozen=True)
class Skill:
    id: str
    name: str
    description: str
    tags: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()
    input_modes: tuple[str, ...] = ()
    output_modes: tuple[str, ...] = ()


@dataclass(frozen=True)
class CardSpec:
    """What the author says about the agent; the rest of the card follows from how it is served."""

    name: str
    description: str
    version: str = "0.1.0"
    skills: tuple[Skill, ...] = ()
    default_input_modes: tuple[str, ...] = _TEXT_MODES
    """None in a project that does not say: then they are what its graph takes."""
    default_output_modes: tuple[str, ...] = _TEXT_MODES


@dataclass(frozen=True)
class Project:
    """A project directory. `slots` are what its turns work with, the model first; `secrets` are the values that
    may appear in no answer, log line or error."""

    directory: Path
    graph: str
    card: CardSpec
    recursion_limit: int | None = None
    slots: tuple[Slot, ...] = (Slot("model", "model"),)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    prices: Prices = field(default_factory=Prices)
    budget: BudgetLimits = field(default_factory=BudgetLimits)
    labels: Mapping[str, str] = field(default_factory=dict)
    """What the registry groups the agent by."""
    source: str = PROJECT_FILE
    """The file that all this was read from."""
    paths: tuple[Path, ...] = ()
    """Directories besides its own from which it imports."""
    store_index: Mapping[str, Any] | None = None
    """The semantic index of the store that it asks for, in LangGraph's words."""
    notes: tuple[str, ...] = ()
    """What of the file is not followed, and why."""
    graph_name: str = ""
    """What the file calls the graph that answers A2A; empty where it has only one, without a name."""
    others: Mapping[str, str] = field(default_factory=dict)
    """The other graphs by name, which clients of LangGraph's API choose."""

    @property
    def mcp(self) -> dict[str, McpServer]:
        """The MCP servers that the project itself describes, by name."""
        return {slot.name: slot.local for slot in self.slots if isinstance(slot.local, McpServer)}

    @property
    def peers(self) -> dict[str, Peer]:
        """The A2A agents that the project itself describes, by name."""
        return {slot.name: slot.local for slot in self.slots if isinstance(slot.local, Peer)}

    def environment(self) -> dict[str, str]:
        """What `${NAME}` stands for: the process's own environment, over the project's `.env` as it is now."""
        return _environment(self.directory)


def load_project(
    directory: Path, environment: Mapping[str, str] | None = None, *, graph: str | None = None
) -> Project:
    """Read `agent.toml`, or where there is none `langgraph.json`.

    Raises `BadProject` naming the file, the field and what is accepted.

    `${NAME}` takes its value from `environment`: by default the process's own, over the project's `.env`.
    `graph` is the name of the one to serve, where there are several.
    """
    directory = directory.resolve()
    if is_langgraph_project(directory):
        return _langgraph_project(LangGraphProject(directory), graph)
    known = _environment(directory) if environment is None else environment
    root = read_table(directory / PROJECT_FILE)
    beside = _langgraph_beside(root, directory)
    serve = root.table("serve")
    graph_name, chosen, others = _graph(root, serve, graph)
    recursion_limit = serve.integer("recursion_limit", 1, 1_000_000)
    serve.done()
    card = _card(root.table("card"))
    reader = OutboundReader(directory, known)
    slots = (
        _model(root.table("model")),
        *(_prompt(name, table) for name, table in root.named_tables("prompts").items()),
        *(_mcp_server(name, table, reader) for name, table in root.named_tables("mcp").items()),
        *(_peer(name, table, reader) for name, table in root.named_tables("a2a").items()),
    )
    prices = read_prices(root.table("prices"))
    budget = read_budget(root.table("budget"), prices)
    labels = _labels(root)
    root.done()
    _refuse_taken_twice(slots)
    secrets = tuple(dict.fromkeys(reader.secrets))
    return Project(
        directory,
        chosen,
        card,
        recursion_limit,
        slots,
        secrets,
        prices,
        budget,
        labels,
        graph_name=graph_name,
        others=others,
        paths=beside.paths() if beside else (),
        store_index=beside.store_index if beside else None,
        notes=tuple(beside.notes) if beside else (),
    )


def _langgraph_beside(root: Table, directory: Path) -> LangGraphProject | None:
    """The `langgraph.json` that says what the project imports from and its store indexes, if it is named."""
    named = root.text("langgraph", "")
    if named not in ("", LANGGRAPH_FILE):
        root.refuse("langgraph", f"{named!r} is not read; accepted is {LANGGRAPH_FILE!r}, beside this file")
    return LangGraphProject(directory) if named else None


def _langgraph_project(written: LangGraphProject, name: str | None) -> Project:
    """The graph that is named answers A2A, or else the first one. The card says what is known of it."""
    if name is not None and name not in written.graphs:
        raise BadProject(
            f"{LANGGRAPH_FILE}: graphs: there is no {name!r}; accepted are {', '.join(written.graphs)}"
        )
    chosen = name or next(iter(written.graphs))
    notes = list(written.notes)
    if name is None and len(written.graphs) > 1:
        notes.append(f"graphs has several: {chosen!r} answers A2A; --graph says another one")
    description = written.descriptions.get(chosen) or f"The LangGraph graph {chosen} of {written.directory.name}."
    return Project(
        written.directory,
        written.graphs[chosen],
        CardSpec(
            chosen, description, skills=(Skill("chat", chosen, description, ("chat",)),), default_input_modes=()
        ),
        source=LANGGRAPH_FILE,
        paths=written.paths(),
        store_index=written.store_index,
        notes=tuple(notes),
        graph_name=chosen,
        others={name: spec for name, spec in written.graphs.items() if name != chosen},
    )


def _environment(directory: Path) -> dict[str, str]:
    from_file = {name: value for name, value in dotenv_values(directory / ".env").items() if value is not None}
    return {**from_file, **os.environ}


def _graph(root: Table, serve: Table, name: str | None) -> tuple[str, str, dict[str, str]]:
    """By its name, the one graph of the project, or of its `[graphs]` the one that is chosen; and the others."""
    graphs = root.text_map("graphs")
    if not graphs:
        graphs = {"": root.text("graph")}
    elif root.has("graph"):
        root.refuse("graph", "is one graph, and [graphs] are several; keep one of them")
    for key, spec in graphs.items():
        if not GRAPH_SPEC.fullmatch(spec):
            root.refuse(
                f"graphs.{key}" if key else "graph",
                f'{spec!r} is not module:attribute or file:attribute, such as "graph:graph"',
            )
    written = serve.text("graph", "")
    name = name or written or (next(iter(graphs)) if len(graphs) == 1 else "")
    if name not in graphs:
        names = ", ".join(graphs)
        accepted = f"accepted are {names}" if names else "this project has one graph, without a name"
        serve.refuse("graph", f"{name!r} is not in [graphs]; {accepted}" if name else f"say which one; {accepted}")
    return name, graphs.pop(name), graphs


def _labels(root: Table) -> dict[str, str]:
    labels = root.text_map("labels")
    try:
        check_labels(labels)
    except ValueError as error:
        root.refuse("labels", str(error))
    return labels


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
        default_input_modes=_media_types(table, "default_input_modes") if table.has("default_input_modes") else (),
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
        input_modes=_media_types(table, "input_modes", ()),
        output_modes=_media_types(table, "output_modes", ()),
    )
    table.done()
    return skill


def _media_types(table: Table, name: str, default: tuple[str, ...] = _TEXT_MODES) -> tuple[str, ...]:
    modes = table.texts(name, default)
    if not modes and default:
        table.refuse(name, 'is empty; at least one media type is required, such as "text/plain"')
    for mode in modes:
        if not all(mode.partition("/")[::2]):
            table.refuse(name, f'{mode!r} is not a media type, such as "text/plain"')
    return modes


def _model(table: Table) -> Slot:
    slot = Slot("model", "model", _component(table))
    table.done()
    return slot


def _prompt(name: str, table: Table) -> Slot:
    if not _PROMPT_NAME.fullmatch(name):
        table.refuse("", "the name of a prompt is 1 to 40 letters, digits, _ and -")
    try:
        template = parse_template(table.text("template"))
    except BadTemplate as error:
        table.refuse("template", str(error))
    slot = Slot("prompt", name, _component(table), Prompt(template))
    table.done()
    return slot


def _mcp_server(name: str, table: Table, reader: OutboundReader) -> Slot:
    check_source_name(name, table)
    component_id, seconds = _component(table), reader.timeout(table)
    local = reader.mcp_server(name, table, seconds) if component_id is None or table.names() else None
    return Slot("mcp", name, component_id, local, timeout_seconds=seconds)


def _peer(name: str, table: Table, reader: OutboundReader) -> Slot:
    check_source_name(name, table, peer=True)
    component_id = _component(table)
    if component_id is None or table.has("url"):
        peer = reader.peer(name, table)
        return Slot("agent", name, component_id, peer, token=peer.token, timeout_seconds=peer.timeout_seconds)
    slot = Slot("agent", name, component_id, token=reader.token(table), timeout_seconds=reader.timeout(table))
    table.done()
    return slot


def _component(table: Table) -> str | None:
    """The id of the registry's component that is used here, if one is."""
    component_id = table.text("component", "")
    if component_id and not _COMPONENT_ID.fullmatch(component_id):
        table.refuse("component", "the id of a component is 1 to 255 characters without blanks and slashes")
    return component_id or None


def _refuse_taken_twice(slots: tuple[Slot, ...]) -> None:
    taken: set[tuple[Kind, str]] = set()
    for slot in slots:
        if slot.component_id is not None:
            if (slot.kind, slot.component_id) in taken:
                what = f"the {slot.kind} {slot.component_id!r} of the registry"
                raise BadProject(f"{PROJECT_FILE}: {what} is named twice; once is enough")
            taken.add((slot.kind, slot.component_id))
