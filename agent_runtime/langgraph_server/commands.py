"""Commands of `langchain-protocol`, which clients send beside the stream of a thread's events."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, Field, ValidationError

from agent_runtime.errors import GraphNotFound, InvalidValue, ThreadBusy, ThreadNotFound
from agent_runtime.langgraph_server.models import CheckpointConfig, Command, Json, Metadata, RunConfig, RunCreate
from agent_runtime.langgraph_server.protocol import CHANNELS, STREAM_MODES, Subscription
from agent_runtime.langgraph_server.service import ACTIVE, Runs
from agent_runtime.langgraph_server.threads import CallersThreads

_STREAM_INSTEAD = "events are streamed by POST /threads/{thread_id}/stream/events"

Segments = Annotated[list[str], Field(max_length=100)]


class CommandFailed(Exception):
    """A command that cannot be carried out, with the protocol's code for the reason."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class RunStart(BaseModel):
    assistant_id: str
    input: Any = None
    config: RunConfig | None = None
    metadata: Metadata | None = None


class Response(BaseModel):
    namespace: Segments = []
    interrupt_id: str
    response: Any = None


class InputRespond(BaseModel):
    responses: Annotated[list[Response], Field(min_length=1, max_length=1000)]
    update: Json | list[Any] | None = None
    goto: str | Json | list[str | Json] | None = None
    config: RunConfig | None = None
    metadata: Metadata | None = None


class EventStream(BaseModel):
    channels: Annotated[list[str], Field(min_length=1, max_length=100)]
    namespaces: Annotated[list[Segments], Field(max_length=100)] | None = None
    depth: Annotated[int, Field(ge=0, le=1000)] | None = None
    since: Annotated[int, Field(ge=0, le=2**53)] | None = None


def subscription_of(body: EventStream) -> Subscription:
    """Return what is subscribed to. Raises `CommandFailed` for a channel that there is not."""
    for channel in body.channels:
        if channel not in CHANNELS and not (channel.startswith("custom:") and channel != "custom:"):
            accepted = ", ".join(sorted(CHANNELS))
            raise CommandFailed(
                "invalid_argument", f"there is no channel {channel!r}; there are {accepted}, custom:NAME"
            )
    return Subscription(frozenset(body.channels), body.namespaces or (), body.depth, body.since or 0)


class Commands:
    """Carries out the commands of a caller for one of its threads."""

    def __init__(self, runs: Runs, threads: CallersThreads) -> None:
        self._runs = runs
        self._threads = threads
        self._known: Mapping[str, Callable[[str, str, Any], Awaitable[Json]]] = {
            "run.start": self._start,
            "input.respond": self._respond,
            "agent.getTree": self._tree,
        }

    async def run(self, thread_id: str, caller: str, method: str, params: Any) -> Json:
        """Return the result. Raises `CommandFailed`, and what has nothing to do with the command."""
        if method.startswith("subscription."):
            raise CommandFailed("not_supported", _STREAM_INSTEAD)
        if (work := self._known.get(method)) is None:
            raise CommandFailed(
                "unknown_command", f"there is no command {method!r}; there are {', '.join(self._known)}"
            )
        try:
            return await work(thread_id, caller, params)
        except ValidationError as error:
            told = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()[:10])
            raise CommandFailed("invalid_argument", told) from None
        except (InvalidValue, GraphNotFound) as error:
            raise CommandFailed("invalid_argument", str(error)) from error

    async def _start(self, thread_id: str, caller: str, params: Any) -> Json:
        asked = RunStart.model_validate(params)
        config = asked.config or RunConfig()
        checkpoint_id = config.configurable.get("checkpoint_id")
        body = RunCreate(
            assistant_id=asked.assistant_id,
            input=asked.input,
            config=config,
            metadata=asked.metadata,
            checkpoint=CheckpointConfig(checkpoint_id=checkpoint_id) if isinstance(checkpoint_id, str) else None,
            if_not_exists="create",
            **_SHOWN,
        )
        return await self._begin(thread_id, caller, body)

    async def _respond(self, thread_id: str, caller: str, params: Any) -> Json:
        if isinstance(params, dict) and "responses" not in params:
            params = {**params, "responses": [params]}
        asked = InputRespond.model_validate(params)
        try:
            state = await self._threads.state(thread_id, caller, CheckpointConfig(), subgraphs=False)
            thread = await self._threads.get(thread_id, caller)
        except ThreadNotFound as error:
            raise CommandFailed("no_such_interrupt", str(error)) from error
        waiting = {one["id"] for one in state["interrupts"]}
        for response in asked.responses:
            if response.interrupt_id not in waiting:
                raise CommandFailed("no_such_interrupt", f"nothing waits under {response.interrupt_id!r}")
        answers = {response.interrupt_id: response.response for response in asked.responses}
        body = RunCreate(
            assistant_id=self._runs.assistant_in(thread["metadata"]).assistant_id,
            command=Command(resume=answers, update=asked.update, goto=asked.goto),
            config=asked.config,
            metadata=asked.metadata,
            multitask_strategy="reject",  # of two answers to one question the second is refused
            **_SHOWN,
        )
        try:
            return await self._begin(thread_id, caller, body)
        except ThreadBusy as error:
            raise CommandFailed("no_such_interrupt", "somebody else has answered") from error

    async def _begin(self, thread_id: str, caller: str, body: RunCreate) -> Json:
        run, _ = await self._runs.create(body, caller, thread_id)
        return {"run_id": run["run_id"]}

    async def _tree(self, thread_id: str, caller: str, params: Any) -> Json:
        try:
            thread = await self._threads.get(thread_id, caller)
            active = await self._runs.list_active(caller, thread_id, ACTIVE)
        except ThreadNotFound as error:
            raise CommandFailed("no_such_run", str(error)) from error
        wanted = params.get("run_id") if isinstance(params, dict) else None
        if not any(wanted in (None, run_id) for _, run_id in active):
            raise CommandFailed("no_such_run", "nothing runs in this thread")
        graph = self._runs.assistant_in(thread["metadata"]).graph_id
        return {"tree": {"namespace": [], "status": "running", "graph_name": graph}}


_SHOWN: Any = {"stream_mode": list(STREAM_MODES), "stream_subgraphs": True, "stream_resumable": True}
