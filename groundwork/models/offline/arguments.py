"""How the offline model fills a schema from text."""

import json
import re
from typing import Any

from langchain_core.utils.json_schema import dereference_refs

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")

Schema = dict[str, Any]


def arguments_from(text: str, schema: Schema) -> dict[str, Any]:
    """Arguments for `schema`: the JSON object that `text` is, or what it says field by field.

    Nothing is checked here: a value that does not fit stays as it was said, and a required field that
    nothing can be found for stays away, so that whoever validates the result sees it.
    """
    given = _json_object(text)
    return given if given is not None else _fill(text, dereference_refs(schema))


def _json_object(text: str) -> dict[str, Any] | None:
    try:
        value = json.loads(text)
    except (json.JSONDecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _fill(text: str, schema: Schema) -> dict[str, Any]:
    properties: dict[str, Schema] = schema.get("properties", {})
    filled = _named(text, properties)
    for name, field in properties.items():
        if name not in filled:
            filled |= _unnamed(name, text, field, required=name in schema.get("required", []))
    return filled


def _named(text: str, properties: dict[str, Schema]) -> dict[str, Any]:
    """The fields that the text names, as `field: value` or `field=value`."""
    if not properties:
        return {}
    by_spelling = {name.lower().replace("_", " "): name for name in properties}
    names = "|".join(re.escape(name).replace("_", "[ _]") for name in properties)
    pair = rf"\b({names})\s*[:=]\s*(.*?)(?=[\s,;]+(?:{names})\s*[:=]|\s*[;\n]|\s*$)"
    found = ((match[1], match[2].strip("\"' ")) for match in re.finditer(pair, text, re.IGNORECASE))
    named = ((by_spelling[spelling.lower().replace("_", " ")], value) for spelling, value in found if value)
    return {name: _converted(value, properties[name]) for name, value in named}


def _unnamed(name: str, text: str, field: Schema, *, required: bool) -> dict[str, Any]:
    choices = _choices(field)
    words = {word.lower() for word in re.findall(r"[\w-]+", text)}
    mentioned = [choice for choice in choices if str(choice).lower() in words]
    if mentioned or (choices and required):
        return {name: [*mentioned, *choices][0]}
    return _stand_in(name, text, field) if required else {}


def _stand_in(name: str, text: str, field: Schema) -> dict[str, Any]:
    match main_schema(field).get("type"):
        case "string" if text.strip():
            return {name: text.strip()[: main_schema(field).get("maxLength")]}
        case "integer" | "number" if number := _NUMBER.search(text):
            return {name: json.loads(number[0])}
        case "boolean":
            return {name: False}
        case "array":
            return {name: []}
        case "object":
            return {name: _fill(text, main_schema(field))}
    return {}


def _converted(value: str, field: Schema) -> Any:
    match main_schema(field).get("type"):
        case "integer" | "number" if _NUMBER.fullmatch(value):
            return json.loads(value)
        case "boolean" if value.lower() in {"true", "yes", "false", "no"}:
            return value.lower() in {"true", "yes"}
        case "array":
            items = main_schema(field).get("items", {})
            return [_converted(item.strip(), items) for item in value.strip("[]").split(",") if item.strip()]
    return value


def _choices(field: Schema) -> list[Any]:
    main = main_schema(field)
    return [main["const"]] if "const" in main else main.get("enum", [])


def main_schema(field: Any) -> Schema:
    """The field's schema without the alternative of being null, and with one type; `true` says nothing."""
    if not isinstance(field, dict):
        return {}
    options = field.get("anyOf") or field.get("oneOf") or field.get("allOf") or [field]
    main = next((option for option in options if isinstance(option, dict) and option.get("type") != "null"), field)
    kinds = main.get("type")
    return (
        main | {"type": next((kind for kind in kinds if kind != "null"), None)}
        if isinstance(kinds, list)
        else main
    )
