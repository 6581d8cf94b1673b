"""OpenAPI documents that make good clients: whatever has a name stands once, under it.

Routes describe bodies and errors in place, so that they are whole in the document of whichever app has the
routes. An app of ours then gathers them: generators make one class of a schema, and otherwise one for each place.
"""

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from fastapi import APIRouter, FastAPI
from fastapi.routing import APIRoute
from pydantic import TypeAdapter

Schema = dict[str, Any]

_COMPONENTS = "#/components/schemas/"


class DocumentedApp(FastAPI):
    """An app whose document names its schemas and has operation ids that a person would type.

    `enums` are those that may stand in the document, by the names that they get there.
    """

    def __init__(self, *, enums: Mapping[str, Any], **options: Any) -> None:
        super().__init__(generate_unique_id_function=operation_id, docs_url=None, redoc_url=None, **options)
        self._enums = enums

    def serve(self, router: APIRouter) -> None:
        """Serve the routes of `router` as they stand.

        Including it makes each of them once more for this app, which is most of what opening one would cost.
        """
        self.router.routes.extend(router.routes)

    def openapi(self) -> Schema:
        if self.openapi_schema is None:
            self.openapi_schema = with_names(super().openapi(), self._enums)
        return self.openapi_schema


class DocumentedRouter(APIRouter):
    """A router for such an app to serve; its operation ids are those of the app."""

    def __init__(self, **options: Any) -> None:
        super().__init__(generate_unique_id_function=operation_id, **options)


def operation_id(route: APIRoute) -> str:
    return route.name


def with_names(document: Schema, enums: Mapping[str, Any]) -> Schema:
    """The document with every model and enum under its name. Raises `ValueError` when a name has two meanings."""
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    named = {name: TypeAdapter(enum).json_schema() | {"title": name} for name, enum in enums.items()}
    by_values = {frozenset(get_args(enum)): name for name, enum in enums.items()}

    def gather(node: Any) -> Any:
        if isinstance(node, list):
            return [gather(item) for item in node]
        if not isinstance(node, dict):
            return node
        gathered = {key: gather(value) for key, value in node.items()}
        if isinstance(values := gathered.get("enum"), list) and (name := by_values.get(frozenset(values))):
            schemas[name] = named[name]
            beside = {key: gathered[key] for key in ("description", "default") if key in gathered}
            return {"$ref": _COMPONENTS + name, **beside}
        if _is_model(gathered):
            name = gathered["title"]
            if schemas.setdefault(name, gathered) != gathered:
                raise ValueError(f"two schemas of the document are called {name}")
            return {"$ref": _COMPONENTS + name}
        return gathered

    for name, schema in list(schemas.items()):
        schemas[name] = {key: gather(value) for key, value in schema.items()}
    document["paths"] = gather(document["paths"])
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    return document


def _is_model(schema: Schema) -> bool:
    title = schema.get("title")
    return isinstance(title, str) and title.isidentifier() and isinstance(schema.get("properties"), dict)


def inline_schema(model: Any) -> Schema:
    """The schema with its definitions where they are used, and of pydantic's titles only the models' own."""
    schema = TypeAdapter(model).json_schema()
    inlined: Schema = _inline(schema, schema.get("$defs", {}))
    return inlined


def query_parameters(model: Any) -> list[Schema]:
    """A parameter for each field of the model."""
    schema = inline_schema(model)
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": field}
        for name, field in schema["properties"].items()
    ]


def _inline(schema: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(schema, list):
        return [_inline(item, definitions) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    if reference := schema.get("$ref"):
        return _inline(definitions[reference.rpartition("/")[2]], definitions)
    return dict(_inlined_items(schema, definitions))


def _inlined_items(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for key, value in schema.items():
        if key == "properties":
            yield key, {name: _inline(field, definitions) for name, field in value.items()}
        elif key != "$defs" and (key != "title" or "properties" in schema):
            yield key, _inline(value, definitions)
