"""What a graph is given for a message: its input schema decides."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args, get_origin

from langchain_core.messages import HumanMessage
from langgraph.graph.state import CompiledStateGraph
from langgraph.managed.base import is_managed_value
from langgraph.pregel import Pregel
from typing_extensions import is_typeddict

from agent_runtime.errors import InvalidValue
from agent_runtime.graph.fields import Fields, fields_of, hold, plain
from agent_runtime.graph.outputs import Data, File, Part, Text

MESSAGES = "messages"
_ROOT = "__root__"

Values = dict[str, Any]
"""Fields of the input by name, as JSON has them."""


class GraphInput:
    """How a message becomes the input of one graph.

    The fields of an object in a data part go into the input's fields of the same name; the rest of the message is
    a human message in `messages`. A graph without `messages` gets the text in its only text field.
    """

    def __init__(
        self, fields: Fields, *, takes_messages: bool = True, whole: Any = None, holder: Any = None
    ) -> None:
        """`fields` are those beside `messages`. `whole` is the type of an input that has no fields at all,
        `holder` the class whose instance the fields become."""
        self._holder = holder
        self._fields = fields
        self._takes_messages = takes_messages
        self._whole = whole

    @classmethod
    def of(cls, graph: Pregel[Any, Any, Any, Any]) -> "GraphInput":
        """Read it from the graph's input schema."""
        if not isinstance(graph, CompiledStateGraph):
            return cls._of_type(getattr(graph.channels["__start__"], "UpdateType", Any))
        builder = graph.builder
        schema = builder.input_schema
        channels = builder.schemas[schema]
        if _ROOT in channels:
            return cls._of_type(plain(schema))
        declared = fields_of(schema) or Fields(dict.fromkeys(channels, Any), frozenset())
        hints = {
            name: declared.hints.get(name, Any)
            for name, channel in channels.items()
            if name != MESSAGES and not is_managed_value(channel)
        }
        # Of a state that is a TypedDict nothing says which keys the nodes fill in, and which they are given.
        is_open = is_typeddict(schema) and schema is builder.state_schema
        required = frozenset() if is_open else declared.required & hints.keys()
        return cls(Fields(hints, required), takes_messages=MESSAGES in channels)

    @classmethod
    def _of_type(cls, kind: Any) -> "GraphInput":
        declared = fields_of(kind)
        if declared is None:
            return cls(Fields({}, frozenset()), takes_messages=kind is not str, whole=kind)
        hints = {name: hint for name, hint in declared.hints.items() if name != MESSAGES}
        return cls(
            Fields(hints, declared.required & hints.keys()),
            takes_messages=MESSAGES in declared.hints,
            holder=None if is_typeddict(kind) else kind,
        )

    @property
    def input_modes(self) -> tuple[str, ...]:
        """The media types that make sense in a message."""
        text = ("text/plain",) if self._takes_messages or self._whole is str or self._text_fields({}) else ()
        return (*text, *(("application/json",) if self._fields.hints else ()))

    def split(self, parts: Sequence[Part]) -> tuple[Values, list[Part]]:
        """Return the fields that the message gives, and the parts that are left for the human message.

        Raises `InvalidValue` for a value of the wrong type, and for what has no place in the graph's input.
        """
        values: Values = {}
        left: list[Part] = []
        for part in parts:
            rest = self._take(part.value, values) if isinstance(part, Data) else None
            if not isinstance(part, Data) or rest is None:
                left.append(part)
            elif rest:
                left.append(Data(rest))
        if not self._takes_messages:
            self._place(left, values)
        return values, left or list(parts)

    def check(self, values: Mapping[str, Any], known: Iterable[str] = ()) -> None:
        """Raises `InvalidValue` when a required field is neither given nor `known` from earlier turns."""
        if missing := sorted(self._fields.required - values.keys() - set(known)):
            names = " and ".join(map(repr, missing))
            raise InvalidValue(missing[0], f"the agent needs {names} in a data part; it takes {self._takes()}")

    def needs_more(self, values: Mapping[str, Any]) -> bool:
        """Whether something is required that the message does not give."""
        return not self._fields.required <= values.keys()

    def explain(self, error: KeyError, state: Any) -> str | None:
        """Why a node found no value under a name of the state, if nobody has given one."""
        name = error.args[0] if error.args else None
        if name not in self._fields.hints or (isinstance(state, Mapping) and name in state):
            return None
        return f"the agent needs {name!r}, which no message has given; a data part takes {self._takes()}"

    def build(self, message: HumanMessage, values: Mapping[str, Any]) -> Any:
        """Return what the graph is started with. Raises `InvalidValue` for what the author's own checks refuse."""
        if self._whole is not None:
            return self._build_whole(message)
        built = {name: self._fields.read(name, value) for name, value in values.items()}
        if self._takes_messages:
            built = {MESSAGES: [message], **built}
        return built if self._holder is None else hold(self._holder, built, "message.parts")

    def _build_whole(self, message: HumanMessage) -> Any:
        kind = get_origin(self._whole) or self._whole
        if kind is str:
            return str(message.text)
        if isinstance(kind, type) and issubclass(kind, Sequence):
            return [message]
        return {MESSAGES: [message]}

    def _take(self, value: Any, values: Values) -> Values | None:
        """Moves the fields of an object into `values`, and returns what is left of it; `None` when it has none."""
        if not isinstance(value, dict) or not value.keys() & self._fields.hints.keys():
            return None
        for name in value.keys() & self._fields.hints.keys():
            self._fields.read(name, value[name])
            values[name] = value[name]
        return {name: part for name, part in value.items() if name not in self._fields.hints}

    def _place(self, left: Sequence[Part], values: Values) -> None:
        """What is left of a message for a graph that takes no messages."""
        if self._whole is str:
            return
        text = "\n".join(part.text for part in left if isinstance(part, Text) and part.text.strip())
        if text:
            places = self._text_fields(values)
            if len(places) != 1:
                raise InvalidValue(
                    "message.parts", f"the text has no place in what the agent takes: {self._takes()}"
                )
            self._fields.read(places[0], text)
            values[places[0]] = text
        for part in left:
            if isinstance(part, File):
                raise InvalidValue("message.parts", f"the agent takes no files, only {self._takes()}")
            if isinstance(part, Data):
                names = (
                    ", ".join(map(repr, part.value))
                    if isinstance(part.value, dict)
                    else "a value that is no object"
                )
                raise InvalidValue("message.parts", f"the agent does not take {names}, only {self._takes()}")

    def _text_fields(self, values: Values) -> list[str]:
        """The text fields that are still free; those that are required, if there are such."""
        free = [name for name, hint in self._fields.hints.items() if name not in values and _is_text(hint)]
        return [name for name in free if name in self._fields.required] or free

    def _takes(self) -> str:
        fields = self._fields.describe() or "no fields"
        return f"{MESSAGES}, {fields}" if self._takes_messages else fields


MESSAGES_ONLY = GraphInput(Fields({}, frozenset()))


def _is_text(hint: Any) -> bool:
    return plain(hint) is str or set(get_args(plain(hint))) == {str, type(None)}
