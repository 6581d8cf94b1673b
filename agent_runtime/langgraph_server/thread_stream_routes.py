"""The routes of streams of whole threads, and of the commands beside them."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query
from pydantic import BaseModel, Field, RootModel
from starlette.requests import Request
from starlette.responses import Response

from agent_runtime.langgraph_server.commands import CommandFailed, EventStream, subscription_of
from agent_runtime.langgraph_server.edge import Refused, json_answer
from agent_runtime.langgraph_server.routes import Face, body_schema, new_router
from agent_runtime.langgraph_server.thread_streams import parse_place

ThreadMode = Literal["run_modes", "lifecycle", "state_update", ""]


class ThreadCommand(BaseModel):
    id: Annotated[int, Field(strict=True, ge=0)]
    method: str
    params: dict[str, Any] = {}


class Anything(RootModel[Any]):
    """Whatever a client has sent."""


def thread_stream_router(face: Face) -> APIRouter:
    """The routes of streams of whole threads."""
    router = new_router(face, "thread streams", is_brief=False)

    @router.get("/threads/{thread_id}/stream")
    async def join_thread_stream(
        request: Request,
        thread_id: str,
        stream_mode: Annotated[list[ThreadMode] | None, Query()] = None,
        last_event_id: Annotated[str | None, Header()] = None,
    ) -> Response:
        """Show all runs of a thread as server-sent events, from now on or after the one in `Last-Event-ID`."""
        try:
            after = parse_place(last_event_id)
        except ValueError:
            raise Refused(422, "Last-Event-ID must be the id of an event of this stream, or -1") from None
        modes = [mode for mode in stream_mode or () if mode]
        return await face.streams.join(thread_id, face.caller(request), after=after, modes=modes)

    @router.post("/threads/{thread_id}/stream/events", openapi_extra=body_schema(EventStream))
    async def stream_thread_events(request: Request, thread_id: str) -> Response:
        """Show what happens in a thread as events of langchain-protocol, the past first, for as long as the client
        listens."""
        caller = face.caller(request)
        body = await face.bodies.read(request, EventStream)
        try:
            wanted = subscription_of(body)
        except CommandFailed as error:
            raise Refused(400, str(error)) from None
        await face.streams.check_free(thread_id, caller)
        return face.streams.events(thread_id, caller, wanted)

    @router.post("/threads/{thread_id}/commands", openapi_extra=body_schema(ThreadCommand))
    async def send_thread_command(request: Request, thread_id: str) -> Response:
        """Begin a run, answer a question, or ask what runs, as a command of langchain-protocol."""
        caller = face.caller(request)
        sent = (await face.bodies.read(request, Anything)).root
        try:
            command = ThreadCommand.model_validate(sent)
        except ValueError:
            message = "a command is an object with id (a whole number), method and params"
            return json_answer({"type": "error", "id": None, "error": "invalid_argument", "message": message}, 400)
        try:
            result = await face.commands.run(thread_id, caller, command.method, command.params)
        except CommandFailed as error:
            failed = {"type": "error", "id": command.id, "error": error.code, "message": str(error)}
            return json_answer(failed)
        return json_answer({"type": "success", "id": command.id, "result": result})

    return router
