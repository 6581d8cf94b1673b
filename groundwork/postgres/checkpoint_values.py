"""How values of a graph's state become the bytes of a checkpoint, and the values again.

The format is that of LangGraph's own serialiser, so any other LangGraph program can read what is written here.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from types import FunctionType
from typing import Any

import ormsgpack
from langgraph.checkpoint.serde import jsonplus
from langgraph.checkpoint.serde.jsonplus import EXT_CONSTRUCTOR_SINGLE_ARG, JsonPlusSerializer

HARMLESS = frozenset({("builtins", "int"), ("builtins", "tuple")})
"""The classes that are always rebuilt, besides those that LangGraph calls safe."""

_LONGEST_PATH = 20
"""So many names lead to what cannot be stored; what is further inside is simply too deep."""

_OPTIONS = jsonplus._option | ormsgpack.OPT_PASSTHROUGH_BIG_INT | ormsgpack.OPT_PASSTHROUGH_TUPLE


class NotStorable(TypeError):
    """A value in a graph's state that no checkpoint can hold; the message names its channel and its place."""

    def __init__(self, channel: str, value: Any) -> None:
        super().__init__(f"the state's {channel!r} cannot be stored: {_find_unstorable(value)}")


class StateSerializer(JsonPlusSerializer):
    """LangGraph's serialiser, which also keeps integers of more than 64 bits, and tuples as tuples.

    Of a program's own classes those in `allowed` are rebuilt, by module and name; others come back as plain data.
    """

    def __init__(self, allowed: Iterable[tuple[str, ...]] = ()) -> None:
        super().__init__(allowed_msgpack_modules=[*HARMLESS, *allowed])

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        if obj is None or isinstance(obj, bytes | bytearray):
            return super().dumps_typed(obj)
        return "msgpack", _pack(obj)


def _pack(value: Any) -> bytes:
    return ormsgpack.packb(value, default=_pack_object, option=_OPTIONS)


def _pack_object(value: Any) -> Any:
    # An exact type: a class of one's own that is a tuple or a number is LangGraph's to pack, with its name.
    if type(value) is tuple:
        return _call("tuple", list(value))
    if type(value) is int:
        return _call("int", str(value))
    return _pack_as_langgraph(value)


def _call(builtin: str, argument: Any) -> ormsgpack.Ext:
    return ormsgpack.Ext(EXT_CONSTRUCTOR_SINGLE_ARG, _pack(["builtins", builtin, argument]))


def _pack_envelope(value: Any) -> bytes:
    """Pack what LangGraph puts around an object: a tuple of names and contents, which stays an array."""
    return _pack(list(value) if type(value) is tuple else value)


# LangGraph's own function with another name for the packing of what is in an object: it has no such parameter.
_pack_as_langgraph = FunctionType(
    jsonplus._msgpack_default.__code__, {**vars(jsonplus), "_msgpack_enc": _pack_envelope}, "_pack_as_langgraph"
)


def _find_unstorable(value: Any) -> str:
    path: list[str] = []
    while len(path) < _LONGEST_PATH:
        found = next(((name, part) for name, part in _parts_of(value) if not _packs(part)), None)
        if found is None:
            break
        path.append(found[0])
        value = found[1]
    place = f"its {''.join(path)} is" if path else "it is"
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return f"{place} nested too deeply, or has keys that are no text"
    return f"{place} of type {type(value).__name__}"


def _parts_of(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        yield from ((f"[{key!r}]", part) for key, part in value.items())
    elif isinstance(value, list | tuple | set | frozenset):
        yield from ((f"[{number}]", part) for number, part in enumerate(value))
    else:
        yield from ((f".{name}", part) for name, part in getattr(value, "__dict__", {}).items())


def _packs(value: Any) -> bool:
    with suppress(Exception):  # whatever a value's own code raises, it cannot be stored
        _pack(value)
        return True
    return False
