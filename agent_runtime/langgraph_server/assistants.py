"""The agent's graphs, as assistants: one of each, which is there as long as the graph is."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from langgraph.graph.state import CompiledStateGraph
from pydantic import PydanticInvalidForJsonSchema, PydanticUserError, TypeAdapter

from agent_runtime.errors import GraphNotFound
from agent_runtime.project.graph import Graph, Graphs, GraphSource
from agent_runtime.threads.ids import assistant_id_of


@dataclass(frozen=True)
class Assistant:
    """A graph under the id by which clients know it."""

    graph_id: str
    source: GraphSource
    created_at: datetime

    @property
    def assistant_id(self) -> str:
        return assistant_id_of(self.graph_id)

    @property
    def graph(self) -> Graph:
        return self.source.graph

    def describe(self) -> dict[str, Any]:
        return {
            "assistant_id": self.assistant_id,
            "graph_id": self.graph_id,
            "name": self.graph_id,
            "description": None,
            "config": {},
            "context": {},
            "metadata": {"created_by": "system"},
            "version": 1,
            "created_at": self.created_at,
            "updated_at": self.created_at,
        }

    def schemas(self) -> dict[str, Any]:
        return {"graph_id": self.graph_id, **schemas_of(self.graph)}

    def drawn(self, xray: int | bool) -> dict[str, Any]:
        """Return the graph as nodes and edges, with its subgraphs `xray` levels deep."""
        drawn: dict[str, Any] = self.graph.get_graph(xray=xray).to_json()
        # Clients pass what stands in an edge on as arguments, and know no others.
        known = ("source", "target", "data", "conditional")
        drawn["edges"] = [{key: edge[key] for key in known if key in edge} for edge in drawn["edges"]]
        return drawn

    def subgraphs(self, namespace: str | None, *, recurse: bool) -> dict[str, Any]:
        found = self.graph.get_subgraphs(namespace=namespace, recurse=recurse)
        return {name: schemas_of(graph) for name, graph in found}


class Assistants:
    """The assistants of an agent, the default one first."""

    def __init__(self, graphs: Graphs, since: datetime) -> None:
        self._graphs = graphs
        self._since = since

    @property
    def default(self) -> Assistant:
        return next(iter(self))

    def __iter__(self) -> Iterator[Assistant]:
        return (Assistant(name, source, self._since) for name, source in self._graphs.items())

    def get(self, name_or_id: str) -> Assistant:
        """Raises `GraphNotFound`."""
        for assistant in self:
            if name_or_id == assistant.graph_id or name_or_id.lower() == assistant.assistant_id:
                return assistant
        raise GraphNotFound(name_or_id, [assistant.graph_id for assistant in self])

    def search(
        self, *, metadata: Mapping[str, Any] | None, graph_id: str | None, name: str | None
    ) -> Sequence[dict[str, Any]]:
        wanted = {key: value for key, value in (("graph_id", graph_id), ("name", name)) if value is not None}
        described = (assistant.describe() for assistant in self)
        return [
            one
            for one in described
            if wanted.items() <= one.items() and (metadata or {}).items() <= one["metadata"].items()
        ]


def schemas_of(graph: Any) -> dict[str, Any]:
    """Return JSON Schemas of what the graph takes, gives and holds; null where there is none."""
    context = _schema(graph.get_context_jsonschema)
    return {
        "input_schema": _schema(graph.get_input_jsonschema),
        "output_schema": _schema(graph.get_output_jsonschema),
        "state_schema": _schema(lambda: _state_schema(graph)),
        "config_schema": context,
        "context_schema": context,
    }


def _state_schema(graph: Any) -> Any:
    if not isinstance(graph, CompiledStateGraph):
        return None
    return TypeAdapter(graph.builder.state_schema).json_schema()


def _schema(build: Callable[[], Any]) -> Any:
    """`None` for types that JSON Schema has no words for."""
    try:
        return build()
    except (PydanticUserError, PydanticInvalidForJsonSchema, TypeError, NameError):
        return None
