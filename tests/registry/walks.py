"""Every route of a served registry, from its own OpenAPI document, so that tests reach new ones by themselves."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import httpx

from tests.registry.who import WHO

NEEDS_NO_TOKEN = frozenset(route.partition(" ")[2] for route, who in WHO.items() if who == "everybody")


READS_BY_POST = frozenset({"/components/resolve"})

_CHOICES = {"kind": ("prompt",), "path": ("status",)}
"""What stands in places of paths where few things are possible. All kinds of components go the same way, and so
do all paths of agents' admin APIs."""


@dataclass(frozen=True)
class Route:
    """A route as the document has it; `query` are the names of its query parameters."""

    method: str
    path: str
    query: tuple[str, ...]
    body: dict[str, Any] | None
    """The schema of its body."""

    @property
    def changes_something(self) -> bool:
        return self.method not in ("get", "head") and self.path not in READS_BY_POST

    def paths(self, *ids: str) -> Iterator[str]:
        """The route's paths, with each of `ids` in each of its places."""
        places = re.findall(r"{([^}]*)}", self.path)
        pattern = re.sub(r"{[^}]*}", "{}", self.path)
        for chosen in product(*(_CHOICES.get(place, ids) for place in places)):
            yield pattern.format(*chosen)


async def list_routes(http: httpx.AsyncClient) -> list[Route]:
    document = (await http.get("/openapi.json")).json()
    return [
        Route(method, path, _query_of(operation), resolved(body_of(operation), document))
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
    ]


def resolved(schema: Any, document: Mapping[str, Any]) -> Any:
    """The schema with what its references name in their place."""
    if isinstance(schema, list):
        return [resolved(item, document) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if reference := schema.get("$ref"):
        return resolved(document["components"]["schemas"][reference.rpartition("/")[2]], document)
    return {key: resolved(value, document) for key, value in schema.items()}


def example(schema: dict[str, Any], text: str) -> Any:
    """Something that the schema accepts, or nearly, with `text` wherever it can be."""
    if "enum" in schema or "const" in schema:
        return schema.get("const", schema.get("enum", [None])[0])
    fields = schema.get("properties", {})
    choices = schema.get("anyOf") or schema.get("oneOf")
    if choices and not fields:
        return example(choices[0], text)
    match schema.get("type"):
        case "object":
            # Of what excludes each other, the first.
            others = {name for choice in (choices or [])[1:] for name in choice["required"]}
            return {name: example(field, text) for name, field in fields.items() if name not in others}
        case "array":
            return [example(schema.get("items", {}), text)]
        case "integer" | "number":
            return 1
        case "boolean":
            return True
        case _:
            return text if _fits(schema, text) else schema.get("examples", ["http://elsewhere.test/"])[0]


def _fits(schema: dict[str, Any], text: str) -> bool:
    return schema.get("format") != "uri" and re.search(schema.get("pattern", ""), text) is not None


def _query_of(operation: dict[str, Any]) -> tuple[str, ...]:
    return tuple(given["name"] for given in operation.get("parameters", []) if given["in"] == "query")


def body_of(operation: Mapping[str, Any]) -> dict[str, Any] | None:
    """The schema of the operation's body, when it is JSON."""
    content = operation.get("requestBody", {}).get("content", {})
    schema: dict[str, Any] | None = content.get("application/json", {}).get("schema")
    return schema
