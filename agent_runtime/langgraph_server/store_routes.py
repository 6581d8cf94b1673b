"""The routes of the store: what graphs keep beyond a thread, as LangGraph's own store has it."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from langgraph.store.base import BaseStore, Item
from pydantic import AfterValidator, BaseModel, Field
from starlette.requests import Request
from starlette.responses import Response

from agent_runtime.langgraph_server.edge import Refused, json_answer
from agent_runtime.langgraph_server.models import Json, Limit, Metadata, Offset
from agent_runtime.langgraph_server.routes import Face, body_schema, new_router


def _label(value: str) -> str:
    if not value or "." in value or "\0" in value:
        raise ValueError("a label of a namespace is not empty and has no period and no NUL character")
    return value


Labels = Annotated[list[Annotated[str, AfterValidator(_label), Field(max_length=255)]], Field(max_length=20)]
Key = Annotated[str, Field(min_length=1, max_length=1024, pattern="^[^\\x00]*$")]


class StorePut(BaseModel):
    namespace: Labels
    key: Key
    value: Metadata
    index: bool | list[str] | None = None
    ttl: float | None = None


class StoreDelete(BaseModel):
    namespace: Labels = []
    key: Key


class StoreSearch(BaseModel):
    namespace_prefix: Labels = []
    filter: Json | None = None
    limit: Limit = 10
    offset: Offset = 0
    query: str | None = None


class StoreNamespaces(BaseModel):
    prefix: Labels | None = None
    suffix: Labels | None = None
    max_depth: Annotated[int, Field(ge=1, le=100)] | None = None
    limit: Limit = 100
    offset: Offset = 0


def store_router(face: Face) -> APIRouter:
    """The routes below `/store`."""
    router = new_router(face, "store")

    def store_for(request: Request, namespace: list[str]) -> BaseStore:
        """Return the store, if the caller may ask for that part of it: with tokens, one that it is named in."""
        caller = face.caller(request)
        if caller and caller not in namespace:
            raise Refused(403, f"a caller reaches namespaces with its name in them, such as memories.{caller}")
        if face.store is None:
            raise Refused(404, "the agent has no store: it keeps no conversations")
        return face.store

    @router.put("/store/items", status_code=204, openapi_extra=body_schema(StorePut))
    async def put_item(request: Request) -> Response:
        """Keep a value under a namespace and a key."""
        body = await face.bodies.read(request, StorePut)
        store = store_for(request, body.namespace)
        if not body.namespace:
            raise Refused(422, "namespace: a namespace has at least one label")
        index: Any = None if body.index is True else body.index
        await store.aput(tuple(body.namespace), body.key, body.value, index)
        return Response(status_code=204)

    @router.get("/store/items")
    async def get_item(request: Request, key: str, namespace: Annotated[str, Query()] = "") -> Response:
        """Show what is kept under a namespace, its labels joined by periods, and a key; null where nothing is."""
        labels = namespace.split(".") if namespace else []
        item = await store_for(request, labels).aget(tuple(labels), key)
        return json_answer(None if item is None else _described(item))

    @router.delete("/store/items", status_code=204, openapi_extra=body_schema(StoreDelete))
    async def delete_item(request: Request) -> Response:
        """Forget what is kept under a namespace and a key."""
        body = await face.bodies.read(request, StoreDelete)
        await store_for(request, body.namespace).adelete(tuple(body.namespace), body.key)
        return Response(status_code=204)

    @router.post("/store/items/search", openapi_extra=body_schema(StoreSearch))
    async def search_items(request: Request) -> Response:
        """Find values below a namespace; by meaning, where the project has an index."""
        body = await face.bodies.read(request, StoreSearch)
        found = await store_for(request, body.namespace_prefix).asearch(
            tuple(body.namespace_prefix),
            query=body.query,
            filter=body.filter,
            limit=body.limit,
            offset=body.offset,
        )
        return json_answer({"items": [{**_described(item), "score": item.score} for item in found]})

    @router.post("/store/namespaces", openapi_extra=body_schema(StoreNamespaces))
    async def list_namespaces(request: Request) -> Response:
        """List the namespaces that something is kept under."""
        body = await face.bodies.read(request, StoreNamespaces, optional=True)
        found = await store_for(request, body.prefix or []).alist_namespaces(
            prefix=tuple(body.prefix) if body.prefix else None,
            suffix=tuple(body.suffix) if body.suffix else None,
            max_depth=body.max_depth,
            limit=body.limit,
            offset=body.offset,
        )
        return json_answer({"namespaces": found})

    return router


def _described(item: Item) -> Json:
    return {
        "namespace": item.namespace,
        "key": item.key,
        "value": item.value,
        "created_at": item.created_at,
        "updated_at": item.updated_at,
    }
