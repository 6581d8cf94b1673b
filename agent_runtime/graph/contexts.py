"""What a graph reads from `runtime.context` and from `config["configurable"]`."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from langgraph.pregel import Pregel
from typing_extensions import is_typeddict

from agent_runtime.errors import InvalidValue
from agent_runtime.graph.answers import TurnRejected
from agent_runtime.graph.context import TurnContext
from agent_runtime.graph.fields import Fields, fields_of, hold


class ContextBuilder:
    """Builds the context that a graph declares as its `context_schema`, or that one of its subgraphs declares.

    `TurnContext`, or a class derived from it, holds the turn. Any other schema is built from its own defaults and
    from the fields of the message's metadata that have its names.
    """

    def __init__(self, graph: Pregel[Any, Any, Any, Any]) -> None:
        graphs = (graph, *(subgraph for _, subgraph in graph.get_subgraphs(recurse=True)))
        schemas = (getattr(each, "context_schema", None) for each in graphs)
        self._schema: Any = next((schema for schema in schemas if schema is not None), None)
        declared = fields_of(self._schema) or Fields({}, frozenset())
        self._holds_turn = isinstance(self._schema, type) and issubclass(self._schema, TurnContext)
        ours = {each.name for each in dataclasses.fields(TurnContext)} if self._holds_turn else set()
        hints = {name: hint for name, hint in declared.hints.items() if name not in ours}
        # The keys of a TypedDict are demanded when a node asks for them: LangGraph demands none, and many graphs
        # read theirs with `get`.
        required = frozenset() if is_typeddict(self._schema) else declared.required & hints.keys()
        self._fields = Fields(hints, required)

    def check(self, metadata: Mapping[str, Any]) -> None:
        """Raises `InvalidValue` when the metadata lacks a required field, or has a value of the wrong type."""
        self._read(metadata)

    def build(self, turn: TurnContext, metadata: Mapping[str, Any]) -> Any:
        """Return the context of a turn; `None` for a graph that declares none. Raises `InvalidValue`."""
        if self._schema is None:
            return None
        values = self._read(metadata)
        if self._holds_turn:
            ours = {each.name: getattr(turn, each.name) for each in dataclasses.fields(TurnContext)}
            return self._schema(**ours, **values)
        if is_typeddict(self._schema):
            return _Given(values, self._fields.describe())
        return hold(self._schema, values, "message.metadata")

    def _read(self, metadata: Mapping[str, Any]) -> dict[str, Any]:
        if missing := sorted(self._fields.required - metadata.keys()):
            names = " and ".join(map(repr, missing))
            raise InvalidValue(
                missing[0], f"message.metadata lacks {names}; the agent takes {self._fields.describe()} there"
            )
        try:
            return {name: self._fields.read(name, metadata[name]) for name in self._fields.hints.keys() & metadata}
        except InvalidValue as error:
            raise InvalidValue(error.field, f"message.metadata: {error}") from error


class MissingContext(TurnRejected, KeyError):
    """A node asked the context for a key that nobody has given."""

    def __str__(self) -> str:
        return self.reason


class _Given(dict[str, Any]):
    """The given keys of a TypedDict. It is true even when it is empty: LangGraph would make `None` of it."""

    def __init__(self, values: Mapping[str, Any], accepted: str) -> None:
        super().__init__(values)
        self._accepted = accepted

    def __bool__(self) -> bool:
        return True

    def __missing__(self, name: str) -> Any:
        raise MissingContext(f"message.metadata lacks {name!r}; the agent takes {self._accepted} there")


class Caller(dict[str, Any]):
    """The caller as LangGraph Platform describes an authenticated user: by keys, and by attributes."""

    def __init__(self, identity: str) -> None:
        super().__init__(identity=identity, display_name=identity, is_authenticated=True, permissions=[])

    @property
    def identity(self) -> str:
        return str(self["identity"])

    @property
    def display_name(self) -> str:
        return str(self["display_name"])

    @property
    def is_authenticated(self) -> bool:
        return True

    @property
    def permissions(self) -> list[str]:
        return []


def configurable(agent_id: str | None, caller: str) -> dict[str, Any]:
    """Return what `config["configurable"]` holds beside the thread's id. Who calls has the names that it has on
    LangGraph Platform; without a caller they are absent."""
    made: dict[str, Any] = {"agent_id": agent_id} if agent_id else {}
    if caller:
        user = Caller(caller)
        made |= {"user_id": caller, "langgraph_auth_user_id": caller, "langgraph_auth_user": user}
    return made
