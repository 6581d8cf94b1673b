"""Which classes in stored checkpoints the code that is there does not rebuild.

LangGraph's serialiser raises nothing then: it hands out plain data in the place of an object, and the graph's node
finds out in the middle of a turn.
"""

from collections.abc import Iterable
from importlib import import_module
from typing import Any

import ormsgpack
from langgraph.checkpoint.serde import _msgpack, jsonplus

from groundwork.postgres.checkpoint_values import HARMLESS, StateSerializer

_OPTIONS = ormsgpack.OPT_NON_STR_KEYS
_PYDANTIC = (jsonplus.EXT_PYDANTIC_V1, jsonplus.EXT_PYDANTIC_V2)
_OF_CLASSES = (
    jsonplus.EXT_CONSTRUCTOR_SINGLE_ARG,
    jsonplus.EXT_CONSTRUCTOR_POS_ARGS,
    jsonplus.EXT_CONSTRUCTOR_KW_ARGS,
    *_PYDANTIC,
)


class CheckingSerializer(StateSerializer):
    """A serialiser that notes in `problems`, by class, why it could not rebuild what it was to read."""

    def __init__(self, allowed: Iterable[tuple[str, ...]] = ()) -> None:
        known = {*HARMLESS, *allowed}
        super().__init__(known)
        self._known = known | _msgpack.SAFE_MSGPACK_TYPES
        self._rebuild = self._unpack_ext_hook
        self._unpack_ext_hook = self._check
        self.problems: dict[str, str] = {}

    def _check(self, code: int, data: bytes) -> Any:
        if code == jsonplus.EXT_DELTA_SNAPSHOT:
            # Looked into here, because what is inside is otherwise read by LangGraph's function alone.
            ormsgpack.unpackb(data, ext_hook=self._check, option=_OPTIONS)
        elif code in _OF_CLASSES:
            module, name, content, *_ = ormsgpack.unpackb(data, ext_hook=self._check, option=_OPTIONS)
            if problem := self._problem(code, module, name, content):
                self.problems[f"{module}.{name}"] = problem
        return self._rebuild(code, data)

    def _problem(self, code: int, module: str, name: str, content: Any) -> str | None:
        try:
            kind = getattr(import_module(module), name)
            if (module, name) not in self._known:
                return "no schema of the graph names this class"
            if code in _PYDANTIC or code == jsonplus.EXT_CONSTRUCTOR_KW_ARGS:
                kind(**content)
            elif code == jsonplus.EXT_CONSTRUCTOR_POS_ARGS:
                kind(*content)
            else:
                kind(content)
        except Exception as error:  # noqa: BLE001 - imports and constructors are the project's, and raise what they like
            return " ".join(f"{type(error).__name__}: {error}".split())[:300]
        return None
