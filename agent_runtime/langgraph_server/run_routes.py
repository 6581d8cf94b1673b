"""The routes of runs, on a thread and without one."""

from typing import Annotated, Literal

from fastapi import APIRouter, Header, Query
from pydantic import RootModel
from starlette.requests import Request
from starlette.responses import Response

from agent_runtime.langgraph_server import models
from agent_runtime.langgraph_server.edge import Refused, json_answer
from agent_runtime.langgraph_server.routes import Face, body_schema, new_router
from agent_runtime.langgraph_server.service import ACTIVE
from agent_runtime.langgraph_server.streams import check_place

Action = Literal["interrupt", "rollback"]
Flag = Annotated[bool, Query()]

_MOST_AT_ONCE = 100


class RunBatch(RootModel[list[models.RunCreate]]):
    """Several runs, each without a thread."""


def run_router(face: Face) -> APIRouter:
    """The routes of runs."""
    router = new_router(face, "runs", is_brief=False)
    asked = body_schema(models.RunCreate, repeatable=True)

    # On a thread

    @router.post("/threads/{thread_id}/runs", openapi_extra=asked)
    async def create_run(request: Request, thread_id: str) -> Response:
        """Begin a run in the background."""
        caller = face.caller(request)
        body = await face.bodies.read(request, models.RunCreate)
        run, headers = await face.runs.create(body, caller, thread_id, face.once(request, body))
        return json_answer(run, headers=dict(headers))

    @router.post("/threads/{thread_id}/runs/stream", openapi_extra=asked)
    async def stream_run(request: Request, thread_id: str) -> Response:
        """Begin a run, and show it as server-sent events."""
        caller = face.caller(request)
        body = await face.bodies.read(request, models.RunCreate)
        return await face.runs.stream(body, caller, thread_id, face.once(request, body))

    @router.post("/threads/{thread_id}/runs/wait", openapi_extra=asked)
    async def wait_for_run(request: Request, thread_id: str) -> Response:
        """Begin a run, and answer with what it comes to."""
        caller = face.caller(request)
        body = await face.bodies.read(request, models.RunCreate)
        return await face.runs.wait(body, caller, thread_id, face.once(request, body))

    @router.get("/threads/{thread_id}/runs")
    async def list_runs(
        request: Request,
        thread_id: str,
        limit: models.Limit = 10,
        offset: models.Offset = 0,
        status: models.RunStatus | None = None,
        select: Annotated[list[str] | None, Query()] = None,
    ) -> Response:
        """List a thread's runs, newest first; those that came in over A2A, too."""
        caller = face.caller(request)
        runs = await face.runs.list_runs(thread_id, caller, status=status, limit=limit, offset=offset)
        if select is not None:
            runs = [{key: value for key, value in run.items() if key in select} for run in runs]
        return json_answer(runs)

    @router.get("/threads/{thread_id}/runs/{run_id}")
    async def get_run(request: Request, thread_id: str, run_id: str) -> Response:
        """Show a run."""
        return json_answer(await face.runs.get(thread_id, face.caller(request), run_id))

    @router.delete("/threads/{thread_id}/runs/{run_id}", status_code=204)
    async def delete_run(request: Request, thread_id: str, run_id: str) -> Response:
        """Remove a run, which ends if it is still going on; what it has written to its thread stays."""
        await face.runs.delete(thread_id, face.caller(request), run_id)
        return Response(status_code=204)

    @router.get("/threads/{thread_id}/runs/{run_id}/join")
    async def join_run(
        request: Request, thread_id: str, run_id: str, cancel_on_disconnect: Flag = False
    ) -> Response:
        """Answer with what a run comes to, once it has."""
        return await face.runs.join(thread_id, face.caller(request), run_id, cancels=cancel_on_disconnect)

    @router.get("/threads/{thread_id}/runs/{run_id}/stream")
    async def join_run_stream(
        request: Request,
        thread_id: str,
        run_id: str,
        stream_mode: Annotated[list[models.StreamMode | Literal[""]] | None, Query()] = None,
        cancel_on_disconnect: Flag = False,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Show a run as server-sent events from now on, or from the one that `Last-Event-ID` names."""
        return await face.runs.join_stream(
            thread_id,
            face.caller(request),
            run_id,
            after=check_place(last_event_id),
            modes=[mode for mode in stream_mode or () if mode] or None,
            cancels=cancel_on_disconnect,
        )

    @router.post("/threads/{thread_id}/runs/{run_id}/cancel")
    async def cancel_run(
        request: Request, thread_id: str, run_id: str, wait: Flag = False, action: Action = "interrupt"
    ) -> Response:
        """End a run where it is; with `rollback` it is to have never been."""
        caller = face.caller(request)
        if not await face.runs.cancel(thread_id, caller, run_id, undo=action == "rollback"):
            raise Refused(404, "No matching runs to cancel: the run is over already")
        return json_answer({}) if wait else Response(status_code=202)

    # Without a thread, and several at a time

    @router.post("/runs", openapi_extra=asked)
    async def create_stateless_run(request: Request) -> Response:
        """Begin a run in the background, on a thread that goes with it."""
        caller = face.caller(request)
        body = await face.bodies.read(request, models.RunCreate)
        run, headers = await face.runs.create(body, caller, None, face.once(request, body))
        return json_answer(run, headers=dict(headers))

    @router.post("/runs/stream", openapi_extra=asked)
    async def stream_stateless_run(request: Request) -> Response:
        """Begin a run on a thread that goes with it, and show it as server-sent events."""
        caller = face.caller(request)
        body = await face.bodies.read(request, models.RunCreate)
        return await face.runs.stream(body, caller, None, face.once(request, body))

    @router.post("/runs/wait", openapi_extra=asked)
    async def wait_for_stateless_run(request: Request) -> Response:
        """Begin a run on a thread that goes with it, and answer with what it comes to."""
        caller = face.caller(request)
        body = await face.bodies.read(request, models.RunCreate)
        return await face.runs.wait(body, caller, None, face.once(request, body))

    @router.post("/runs/batch", openapi_extra=body_schema(models.RunCreate, many=True, repeatable=True))
    async def create_runs(request: Request) -> Response:
        """Begin several runs in the background, each on a thread that goes with it."""
        caller = face.caller(request)
        batch = await face.bodies.read(request, RunBatch)
        bodies = batch.root
        if len(bodies) > _MOST_AT_ONCE:
            raise Refused(422, f"at most {_MOST_AT_ONCE} runs are begun at once, not {len(bodies)}")
        begun = [
            await face.runs.create(body, caller, None, face.once(request, batch, str(place)))
            for place, body in enumerate(bodies)
        ]
        return json_answer([run for run, _ in begun])

    @router.post("/runs/cancel", status_code=204, openapi_extra=body_schema(models.RunsCancel))
    async def cancel_runs(request: Request, action: Action = "interrupt") -> Response:
        """End several runs where they are."""
        caller = face.caller(request)
        body = await face.bodies.read(request, models.RunsCancel)
        if body.run_ids is not None and body.thread_id is not None:
            wanted = [(body.thread_id, run_id) for run_id in body.run_ids]
        else:
            statuses = ACTIVE if body.status in (None, "all") else (body.status,)
            wanted = await face.runs.list_active(caller, body.thread_id, statuses)
            wanted = [run for run in wanted if body.run_ids is None or run[1] in body.run_ids]
        ended = [
            await face.runs.cancel(thread_id, caller, run_id, undo=action == "rollback")
            for thread_id, run_id in wanted
        ]
        if not any(ended):
            raise Refused(404, "No runs found to cancel.")
        return Response(status_code=204)

    return router
