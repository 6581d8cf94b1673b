"""Which of a server's tools can be offered to a model, and why the others cannot. Nothing is fetched for it."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError
from mcp.types import Tool
from pydantic import ValidationError

Schema = dict[str, Any]

_LONGEST_SCHEMA = 128 * 1024
_LONGEST_DESCRIPTION = 16 * 1024
_DEEPEST = 60
_MOST_PARTS = 20_000
"""Of a schema, counting what is referred to each time that it is: what some providers' packages make of it."""
_ALTERNATIVES = ("anyOf", "oneOf", "allOf")
_DEFINING = frozenset({"$defs", "definitions", "$id", "$schema", "$anchor", "$dynamicAnchor", "$comment"})
_NOT_AT_THE_TOP = frozenset({*_ALTERNATIVES, "not", "enum", "const", "if", "then", "else"})
_BY_NAME = frozenset({"properties", "patternProperties", "dependentSchemas"})
_VALUES = frozenset({"const", "enum", "default", "example", "examples", "required"})


class SchemaUnusable(Exception):
    """A schema that cannot be offered to a model; the text says why."""


@dataclass(frozen=True)
class Listing:
    """The tools that a server has, and why each of the others is left out, by its name."""

    tools: tuple[Tool, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)


def read_tools(listed: Iterable[Any], *, for_model: bool = True) -> Listing:
    """Read each tool by itself. With `for_model`, a tool has to have a schema that a model can be given."""
    tools: dict[str, Tool] = {}
    left_out: dict[str, str] = {}
    for position, raw in enumerate(listed):
        name = raw.get("name") if isinstance(raw, dict) else None
        if not isinstance(name, str) or not name:
            left_out[f"[{position}]"] = "it has no name"
        elif name in tools:
            left_out[name] = "it is listed twice; the first one is offered"
        else:
            try:
                tools[name] = _read_tool(raw, for_model=for_model)
            except SchemaUnusable as error:
                left_out[name] = str(error)
    return Listing(tuple(tools.values()), left_out)


def _read_tool(raw: Mapping[str, Any], *, for_model: bool) -> Tool:
    execution = raw.get("execution")
    if isinstance(execution, dict) and execution.get("taskSupport") == "required":
        raise SchemaUnusable(
            "it can only be called as an MCP task (taskSupport: required), which is not done here"
        )
    schema = raw.get("inputSchema", {})
    description = raw.get("description")
    usable = {
        "name": raw["name"],
        "description": description[:_LONGEST_DESCRIPTION] if isinstance(description, str) else "",
        "inputSchema": usable_schema(schema) if for_model else (schema if isinstance(schema, dict) else {}),
    }
    try:
        return Tool.model_validate({**usable, "annotations": raw.get("annotations")})
    except ValidationError:
        return Tool.model_validate(usable)  # hints that cannot be read are none


def usable_schema(schema: Any) -> Schema:
    """Return the schema in the form that every provider of models takes: an object with properties, and each
    reference replaced by what it refers to. Raises `SchemaUnusable`."""
    if schema is None or schema is True:
        schema = {}
    if not isinstance(schema, dict):
        raise SchemaUnusable("its inputSchema is no JSON schema")
    try:
        size = len(json.dumps(schema))
        if size > _LONGEST_SCHEMA:
            raise SchemaUnusable(
                f"its inputSchema has {size} bytes, of which at most {_LONGEST_SCHEMA} are accepted"
            )
        Draft202012Validator.check_schema(schema)
        return _as_object(_Inliner(schema).inlined(schema))
    except SchemaError as error:
        place = ".".join(str(step) for step in error.absolute_path) or "the whole"
        raise SchemaUnusable(f"its inputSchema is no valid JSON schema: {place}: {error.message[:200]}") from None
    except RecursionError:
        raise SchemaUnusable(f"its inputSchema is nested deeper than {_DEEPEST} levels") from None


class _Inliner:
    """A schema with what it refers to in the place of each reference; where it refers to itself, anything goes."""

    def __init__(self, whole: Schema) -> None:
        self._whole = whole
        self._parts = 0

    def inlined(self, part: Any, depth: int = 0, inside: tuple[str, ...] = (), *, by_name: bool = False) -> Any:
        """Return the part with everything in it; `by_name` says that its keys are names that the server chose."""
        self._parts += 1
        if self._parts > _MOST_PARTS:
            raise SchemaUnusable(f"its inputSchema has more than {_MOST_PARTS} parts with what it refers to")
        if depth > _DEEPEST:
            raise SchemaUnusable(f"its inputSchema is nested deeper than {_DEEPEST} levels")
        if isinstance(part, list):
            return [self.inlined(item, depth + 1, inside) for item in part]
        if not isinstance(part, dict):
            return part
        if by_name:
            return {name: self.inlined(item, depth + 1, inside) for name, item in part.items()}
        own = {
            word: item if word in _VALUES else self.inlined(item, depth + 1, inside, by_name=word in _BY_NAME)
            for word, item in part.items()
            if word not in _DEFINING
        }
        for word in ("$ref", "$dynamicRef"):
            reference = own.get(word)
            if isinstance(reference, str):
                del own[word]
                target = self._target(reference)
                if reference not in inside and isinstance(target, dict):
                    own = {**self.inlined(target, depth + 1, (*inside, reference)), **own}
        return own

    def _target(self, reference: str) -> Any:
        shown = reference[:200]
        if not reference.startswith("#"):
            raise SchemaUnusable(f"its inputSchema refers to {shown}, and nothing outside it is fetched")
        first, *steps = reference.removeprefix("#").split("/")
        target: Any = self._whole
        try:
            if first:
                raise KeyError(first)  # an anchor
            for step in steps:
                name = unquote(step).replace("~1", "/").replace("~0", "~")
                target = target[int(name)] if isinstance(target, list) else target[name]
        except (KeyError, IndexError, ValueError, TypeError):
            raise SchemaUnusable(f"its inputSchema refers to {shown}, which is not there") from None
        return target


def _as_object(schema: Schema) -> Schema:
    """Return the schema with all properties that it knows at the top, where providers take no alternatives."""
    kind = schema.get("type", "object")
    if "object" not in (kind if isinstance(kind, list) else [kind]):
        raise SchemaUnusable(f"its inputSchema is for {kind}, and arguments are an object")
    properties = {name: _some(given) for name, given in schema.get("properties", {}).items() if given is not False}
    required = list(schema.get("required", []))
    for word in _ALTERNATIVES:
        for option in schema.get(word, []):
            try:
                known = _as_object(_some(option))
            except SchemaUnusable:
                continue
            properties = known["properties"] | properties
            required += [name for name in known["required"] if word == "allOf" and name not in required]
    rest = {name: value for name, value in schema.items() if name not in _NOT_AT_THE_TOP}
    return {**rest, "type": "object", "properties": properties, "required": required}


def _some(schema: Any) -> Schema:
    return schema if isinstance(schema, dict) else {}
