"""The fields of a graph's schema, and how they are read from JSON."""

import inspect
import json
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from typing import Annotated, Any, NotRequired, Required, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from typing_extensions import ReadOnly, is_typeddict

from agent_runtime.errors import InvalidValue

_SAY_NOTHING_OF_THE_TYPE = (Required, NotRequired, ReadOnly)


@dataclass(frozen=True)
class Fields:
    """What a schema declares, by name. `required` are those without which it cannot be built."""

    hints: Mapping[str, Any]
    required: frozenset[str]
    _adapters: dict[str, TypeAdapter[Any] | None] = field(default_factory=dict, repr=False, compare=False)

    def read(self, name: str, value: Any) -> Any:
        """Return the value of a field as its type has it. Raises `InvalidValue`, naming the place in it."""
        if name not in self._adapters:
            self._adapters[name] = _adapter(self.hints[name])
        if (adapter := self._adapters[name]) is None:
            return value
        try:
            return adapter.validate_json(json.dumps(value))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in (name, *first["loc"]))
            raise InvalidValue(place, f"{place}: {first['msg']}") from error

    def describe(self) -> str:
        """The names with their types, for people."""
        return ", ".join(f"{name} ({inspect.formatannotation(plain(hint))})" for name, hint in self.hints.items())


def fields_of(schema: Any) -> Fields | None:
    """Return the fields of a pydantic model, dataclass or TypedDict; `None` for any other type."""
    if not isinstance(schema, type):
        return None
    if issubclass(schema, BaseModel):
        known = schema.model_fields.items()
        hints = {name: Annotated[info.annotation, info] for name, info in known}
        return Fields(hints, frozenset(name for name, info in known if info.is_required()))
    if is_typeddict(schema):
        return Fields(_hints(schema), frozenset(getattr(schema, "__required_keys__", ())))
    if is_dataclass(schema):
        taken = [each for each in fields(schema) if each.init]
        hints = _hints(schema)
        required = {each.name for each in taken if each.default is MISSING and each.default_factory is MISSING}
        return Fields({each.name: hints[each.name] for each in taken}, frozenset(required))
    return None


def hold(kind: Any, values: Mapping[str, Any], place: str) -> Any:
    """Return an instance of a pydantic model or dataclass. Raises `InvalidValue` with what its own checks say."""
    try:
        if issubclass(kind, BaseModel):
            return kind.model_validate(values, by_name=True, by_alias=True)
        return kind(**values)
    except (TypeError, ValueError) as error:
        raise InvalidValue(place, f"{place}: {error}") from error


def plain(hint: Any) -> Any:
    """The type itself, without what is only said about it."""
    while get_origin(hint) in (Annotated, *_SAY_NOTHING_OF_THE_TYPE):
        hint = get_args(hint)[0]
    return hint


def _hints(schema: type) -> dict[str, Any]:
    try:
        hints = get_type_hints(schema, include_extras=True)
    except (NameError, TypeError):  # names that are only there for a type checker
        return dict.fromkeys(inspect.get_annotations(schema), Any)
    return {name: _unwrapped(hint) for name, hint in hints.items()}


def _unwrapped(hint: Any) -> Any:
    while get_origin(hint) in _SAY_NOTHING_OF_THE_TYPE:
        hint = get_args(hint)[0]
    return hint


def _adapter(hint: Any) -> TypeAdapter[Any] | None:
    """`None` for a type of which pydantic knows nothing: then what comes in is taken as it is."""
    for config in (None, ConfigDict(arbitrary_types_allowed=True)):
        try:
            return TypeAdapter(hint, config=config)
        except (PydanticUserError, TypeError, NameError):
            continue
    return None
