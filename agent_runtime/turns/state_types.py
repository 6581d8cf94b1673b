"""Which classes the checkpoints of a graph may hold: those that its schemas name."""

import sys
from collections.abc import Iterator
from contextlib import suppress
from functools import lru_cache
from typing import Any, get_args, get_origin

from langgraph._internal import _serde
from langgraph.graph.state import CompiledStateGraph
from langgraph.pregel import Pregel
from pydantic import SecretBytes, SecretStr

from groundwork.postgres.checkpoint_values import StateSerializer


def serializer_for(graph: Pregel[Any, Any, Any, Any]) -> StateSerializer:
    """Return a serialiser that rebuilds the classes that the graph and its subgraphs declare."""
    return StateSerializer(allowed_classes(graph))


def allowed_classes(graph: Pregel[Any, Any, Any, Any]) -> set[tuple[str, ...]]:
    """Return the classes that the graph and its subgraphs declare, by module and name.

    LangGraph makes the same list when a graph is compiled, loses it in every copy, and makes none where
    LANGGRAPH_STRICT_MSGPACK is off.
    """
    allowed: set[tuple[str, ...]] = set()
    for each in (graph, *(subgraph for _, subgraph in graph.get_subgraphs(recurse=True))):
        if isinstance(each, Pregel):
            allowed |= _allowed_by(each)
    return allowed


def _allowed_by(graph: Pregel[Any, Any, Any, Any]) -> set[tuple[str, ...]]:
    hints: list[Any] = [graph.context_schema]
    for channel in graph.channels.values():
        hints += [getattr(channel, "ValueType", None), getattr(channel, "UpdateType", None)]
    if isinstance(graph, CompiledStateGraph):
        # Its state, input and output, and what single nodes and branches take.
        hints += graph.builder.schemas
    hints += _response_formats(graph)
    seen: set[Any] = set()
    return _names_of(frozenset(kind for hint in hints for kind in _classes_in(hint, seen)))


@lru_cache(maxsize=64)
def _names_of(kinds: frozenset[type]) -> set[tuple[str, ...]]:
    """Return those that may be rebuilt. Most graphs hold messages and little else, so most ask for the same."""
    plain = {(kind.__module__, kind.__name__) for kind in kinds if _is_plain(kind)}
    return plain | _serde.build_serde_allowlist(schemas=list(kinds))


def _response_formats(graph: Pregel[Any, Any, Any, Any]) -> Iterator[Any]:
    """What `create_agent` was given as `response_format`. Its state names no class for it, but a type variable;
    the format itself stands only in what its model node has taken from around it."""
    known = sys.modules.get("langchain.agents.structured_output")
    if known is None:
        return
    for node in graph.nodes.values():
        for function in (getattr(node.bound, "func", None), getattr(node.bound, "afunc", None)):
            for cell in getattr(function, "__closure__", None) or ():
                with suppress(ValueError):  # a cell that is empty
                    if isinstance(
                        cell.cell_contents, known.ToolStrategy | known.ProviderStrategy | known.AutoStrategy
                    ):
                        yield cell.cell_contents.schema


def _classes_in(hint: Any, seen: set[Any]) -> Iterator[type]:
    """The classes that a type names, at any depth. LangGraph looks into the builtin containers only, not into
    `Sequence[Item]`, `Mapping[str, Item]`, generic classes and aliases."""
    try:
        if hint in seen:
            return
        seen.add(hint)
    except TypeError:  # what cannot be hashed is no type, such as a default in an annotation
        return
    inside = [
        get_origin(hint),
        *get_args(hint),
        getattr(hint, "__value__", None),
        getattr(hint, "__supertype__", None),
    ]
    if isinstance(hint, type):
        yield hint
        inside += _types_of_fields(hint)
    for part in inside:
        yield from _classes_in(part, seen)


@lru_cache(maxsize=1024)
def _types_of_fields(kind: type) -> tuple[Any, ...]:
    return (*_serde._safe_get_type_hints(kind).values(), *_serde._pydantic_field_types(kind))


def _is_plain(kind: type) -> bool:
    """Whether it is one of the classes without code of their own that LangGraph does not list."""
    return kind in (SecretStr, SecretBytes) or (issubclass(kind, tuple) and hasattr(kind, "_fields"))
