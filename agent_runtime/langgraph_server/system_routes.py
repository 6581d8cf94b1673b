"""Whether the server is there and what it is, its assistants, and what it leaves to others."""

from importlib.metadata import version
from typing import Annotated, Any

from fastapi import APIRouter, Query
from starlette.requests import Request
from starlette.responses import Response

from agent_runtime.errors import GraphNotFound
from agent_runtime.langgraph_server import models
from agent_runtime.langgraph_server.assistants import Assistant
from agent_runtime.langgraph_server.edge import Refused, json_answer
from agent_runtime.langgraph_server.routes import Face, body_schema, new_router, open_router

_FIXED = "assistants are the graphs of this agent; they change with its project, not through this API"
_NO_CRONS = "this agent has no crons; schedules are the registry's, which starts workflows that call agents"


def system_router(face: Face) -> APIRouter:
    """The routes that say what is there."""
    router = open_router("system")

    @router.get("/ok")
    async def ok() -> Response:
        """Say that the process answers."""
        return json_answer({"ok": True})

    @router.get("/info")
    async def info() -> Response:
        """Say what this server is; without a token, because clients ask before they have one."""
        flags = {"assistants": True, "crons": False, "langsmith": False}
        host = dict.fromkeys(("project_id", "host_revision_id", "revision_id", "tenant_id"))
        return json_answer(
            {
                "version": version("agent-sidecar"),
                "langgraph_py_version": version("langgraph"),
                "flags": flags,
                "host": {"kind": "self-hosted", **host},
            }
        )

    return router


def assistant_router(face: Face) -> APIRouter:
    """The routes of assistants, and what this API leaves to others."""
    router = new_router(face, "assistants")

    @router.post("/assistants/search", openapi_extra=body_schema(models.AssistantSearch))
    async def search_assistants(request: Request) -> Response:
        """List the agent's graphs."""
        body = await face.bodies.read(request, models.AssistantSearch, optional=True)
        found = face.assistants.search(metadata=body.metadata, graph_id=body.graph_id, name=body.name)
        page = found[body.offset : body.offset + body.limit]
        if body.select is not None:
            page = [{key: value for key, value in one.items() if key in body.select} for one in page]
        return json_answer(page, headers={"X-Pagination-Total": str(len(found))})

    @router.post("/assistants/count", openapi_extra=body_schema(models.AssistantSearch))
    async def count_assistants(request: Request) -> Response:
        """Count the agent's graphs."""
        body = await face.bodies.read(request, models.AssistantSearch, optional=True)
        return json_answer(
            len(face.assistants.search(metadata=body.metadata, graph_id=body.graph_id, name=body.name))
        )

    def assistant_of(assistant_id: str) -> Assistant:
        try:
            return face.assistants.get(assistant_id)
        except GraphNotFound:
            raise Refused(404, f"Assistant with ID {assistant_id} not found") from None

    @router.get("/assistants/{assistant_id}")
    async def get_assistant(assistant_id: str) -> Response:
        """Show one graph as an assistant; by its id, or its name."""
        return json_answer(assistant_of(assistant_id).describe())

    @router.get("/assistants/{assistant_id}/graph")
    async def get_assistant_graph(
        request: Request,
        assistant_id: str,
        xray: Annotated[str, Query(pattern="^(true|false|[0-9]{1,2})$")] = "false",
    ) -> Response:
        """Show nodes and edges."""
        depth: int | bool = int(xray) if xray.isdigit() else xray == "true"
        return json_answer(assistant_of(assistant_id).drawn(depth))

    @router.get("/assistants/{assistant_id}/schemas")
    async def get_assistant_schemas(assistant_id: str) -> Response:
        """Show what the graph takes, gives and holds."""
        return json_answer(assistant_of(assistant_id).schemas())

    @router.get("/assistants/{assistant_id}/subgraphs")
    async def get_assistant_subgraphs(assistant_id: str, recurse: bool = False) -> Response:
        """Show the schemas of the graphs in the graph."""
        return json_answer(assistant_of(assistant_id).subgraphs(None, recurse=recurse))

    @router.get("/assistants/{assistant_id}/subgraphs/{namespace}")
    async def get_assistant_subgraph(assistant_id: str, namespace: str, recurse: bool = False) -> Response:
        """Show the schemas of one graph in the graph."""
        return json_answer(assistant_of(assistant_id).subgraphs(namespace, recurse=recurse))

    @router.post("/assistants/{assistant_id}/versions")
    async def list_assistant_versions(assistant_id: str) -> Response:
        """List the only version that there is."""
        described = assistant_of(assistant_id).describe()
        del described["updated_at"]
        return json_answer([described])

    async def refuse_change() -> Response:
        raise Refused(405, _FIXED)

    async def refuse_crons() -> Response:
        raise Refused(405, _NO_CRONS)

    def refuse(path: str, methods: list[str], endpoint: Any) -> None:
        router.add_api_route(path, endpoint, methods=methods, include_in_schema=False)

    refuse("/assistants", ["POST"], refuse_change)
    refuse("/assistants/{assistant_id}", ["PATCH", "PUT", "DELETE"], refuse_change)
    refuse("/assistants/{assistant_id}/latest", ["POST"], refuse_change)
    every = ["GET", "POST", "PATCH", "DELETE"]
    refuse("/runs/crons", every, refuse_crons)
    refuse("/runs/crons/{rest:path}", every, refuse_crons)
    refuse("/threads/{thread_id}/runs/crons", ["POST"], refuse_crons)
    return router
