"""The routes of threads and their states."""

from typing import Annotated

from fastapi import APIRouter, Header
from starlette.requests import Request
from starlette.responses import Response

from agent_runtime.langgraph_server import models
from agent_runtime.langgraph_server.edge import Refused, json_answer, json_list
from agent_runtime.langgraph_server.models import CheckpointConfig, StateHistory
from agent_runtime.langgraph_server.routes import Face, body_schema, new_router

_NO_CONTENT = 204


def thread_router(face: Face) -> APIRouter:
    """The routes below `/threads`, but for runs."""
    router = new_router(face, "threads")

    @router.post("/threads", openapi_extra=body_schema(models.ThreadCreate))
    async def create_thread(request: Request) -> Response:
        """Make a thread in which nothing was said yet."""
        caller = face.caller(request)
        body = await face.bodies.read(request, models.ThreadCreate, optional=True)
        return json_answer(await face.threads.create(body, caller))

    @router.post("/threads/search", openapi_extra=body_schema(models.ThreadSearch))
    async def search_threads(request: Request) -> Response:
        """Find threads by their metadata, what they are doing, or their ids; the last changed first."""
        caller = face.caller(request)
        body = await face.bodies.read(request, models.ThreadSearch, optional=True)
        page, has_more = await face.threads.search(body, caller)
        total = body.offset + len(page)
        headers = {"X-Pagination-Total": str(total + has_more)}
        if has_more:
            headers["X-Pagination-Next"] = str(total)
        return json_list(page, headers)

    @router.post("/threads/count", openapi_extra=body_schema(models.ThreadMatch))
    async def count_threads(request: Request) -> Response:
        """Count threads by the same."""
        caller = face.caller(request)
        body = await face.bodies.read(request, models.ThreadMatch, optional=True)
        return json_answer(await face.threads.count(body, caller))

    @router.post("/threads/prune", openapi_extra=body_schema(models.ThreadPrune))
    async def prune_threads(request: Request) -> Response:
        """Delete several threads."""
        caller = face.caller(request)
        body = await face.bodies.read(request, models.ThreadPrune)
        if body.strategy != "delete":
            raise Refused(422, "strategy: only delete is supported; CHECKPOINT_RETENTION keeps threads short")
        return json_answer({"pruned_count": await face.threads.prune(body.thread_ids, caller)})

    @router.get("/threads/{thread_id}")
    async def get_thread(request: Request, thread_id: str) -> Response:
        """Show a thread, with its state."""
        return json_answer(await face.threads.get(thread_id, face.caller(request)))

    @router.patch("/threads/{thread_id}", openapi_extra=body_schema(models.ThreadPatch))
    async def patch_thread(
        request: Request, thread_id: str, prefer: Annotated[str | None, Header()] = None
    ) -> Response:
        """Add to a thread's metadata."""
        caller = face.caller(request)
        body = await face.bodies.read(request, models.ThreadPatch)
        thread = await face.threads.patch(thread_id, caller, body.metadata)
        return Response(status_code=_NO_CONTENT) if prefer == "return=minimal" else json_answer(thread)

    @router.delete("/threads/{thread_id}", status_code=_NO_CONTENT)
    async def delete_thread(request: Request, thread_id: str) -> Response:
        """Erase a thread, with everything that is stored of it; what runs in it can write no more."""
        await face.threads.delete(thread_id, face.caller(request))
        return Response(status_code=_NO_CONTENT)

    @router.post("/threads/{thread_id}/copy")
    async def copy_thread(request: Request, thread_id: str) -> Response:
        """Make a thread of what this one holds now."""
        return json_answer(await face.threads.copy(thread_id, face.caller(request)))

    @router.get("/threads/{thread_id}/state")
    async def get_state(request: Request, thread_id: str, subgraphs: bool = False) -> Response:
        """Show the state of a thread."""
        caller = face.caller(request)
        return json_answer(await face.threads.state(thread_id, caller, CheckpointConfig(), subgraphs=subgraphs))

    @router.post("/threads/{thread_id}/state", openapi_extra=body_schema(models.StateUpdate))
    async def update_state(request: Request, thread_id: str) -> Response:
        """Write to the state of a thread in which nothing runs; at an earlier checkpoint, that is a fork."""
        caller = face.caller(request)
        body = await face.bodies.read(request, models.StateUpdate)
        return json_answer(await face.threads.change_state(thread_id, caller, body))

    @router.post("/threads/{thread_id}/state/checkpoint", openapi_extra=body_schema(models.StateAtCheckpoint))
    async def get_state_at_checkpoint(request: Request, thread_id: str) -> Response:
        """Show the state at a checkpoint, or of a subgraph."""
        caller = face.caller(request)
        body = await face.bodies.read(request, models.StateAtCheckpoint)
        return json_answer(await face.threads.state(thread_id, caller, body.checkpoint, subgraphs=body.subgraphs))

    @router.get("/threads/{thread_id}/state/{checkpoint_id}")
    async def get_state_of_checkpoint(
        request: Request, thread_id: str, checkpoint_id: str, subgraphs: bool = False
    ) -> Response:
        """Show the state at a checkpoint."""
        caller = face.caller(request)
        checkpoint = CheckpointConfig(checkpoint_id=checkpoint_id)
        return json_answer(await face.threads.state(thread_id, caller, checkpoint, subgraphs=subgraphs))

    @router.post("/threads/{thread_id}/history", openapi_extra=body_schema(StateHistory))
    async def list_history(request: Request, thread_id: str) -> Response:
        """Show the states that have led to a thread's last one, newest first."""
        caller = face.caller(request)
        body = await face.bodies.read(request, StateHistory, optional=True)
        return json_list(await face.threads.history(thread_id, caller, body))

    @router.get("/threads/{thread_id}/history")
    async def get_history(
        request: Request, thread_id: str, limit: models.Limit = 10, before: str | None = None
    ) -> Response:
        """Show the same, asked for without a body."""
        caller = face.caller(request)
        body = StateHistory(limit=limit, before=before)
        return json_list(await face.threads.history(thread_id, caller, body))

    return router
