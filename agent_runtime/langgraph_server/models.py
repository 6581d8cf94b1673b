"""What LangGraph's clients send. Fields that are not here are ignored, as newer clients have more of them."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field

from agent_runtime.langgraph_server.extracting import steps_of
from agent_runtime.langgraph_server.runs import Strategy
from agent_runtime.threads.ids import LONGEST_ID, is_thread_id

Json = dict[str, Any]

MOST_SECONDS = 30 * 86_400


def _thread_id(value: str) -> str:
    if not is_thread_id(value):
        raise ValueError(f"Invalid thread ID: must be 1 to {LONGEST_ID} characters without control characters")
    return value.lower() if len(value) == 36 else value


def _storable(value: Json) -> Json:
    if "\\u0000" in repr(value) or _has_nul(value):
        raise ValueError("a NUL character cannot be stored")
    return value


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(item) for key, item in value.items())
    return isinstance(value, list) and any(_has_nul(item) for item in value)


def _path(value: str) -> str:
    steps_of(value)
    return value


ThreadId = Annotated[str, AfterValidator(_thread_id)]
Metadata = Annotated[Json, AfterValidator(_storable)]
Names = Annotated[list[str], Field(max_length=100)]
Nodes = Literal["*"] | Names
Limit = Annotated[int, Field(ge=1, le=1000)]
Offset = Annotated[int, Field(ge=0, le=10_000_000)]
ThreadStatus = Literal["idle", "busy", "interrupted", "error"]
RunStatus = Literal["pending", "running", "error", "success", "timeout", "interrupted"]
StreamMode = Literal[
    "values",
    "updates",
    "messages",
    "messages-tuple",
    "events",
    "custom",
    "debug",
    "tasks",
    "checkpoints",
    "tools",
    "lifecycle",
]


class AssistantSearch(BaseModel):
    metadata: Json | None = None
    graph_id: str | None = None
    name: str | None = None
    limit: Limit = 10
    offset: Offset = 0
    select: Names | None = None


class ThreadCreate(BaseModel):
    thread_id: ThreadId | None = None
    metadata: Metadata | None = None
    if_exists: Literal["raise", "do_nothing"] | None = None
    supersteps: Annotated[list[Json], Field(max_length=1000)] | None = None


class ThreadPatch(BaseModel):
    metadata: Metadata = {}


class ThreadMatch(BaseModel):
    ids: Annotated[list[str], Field(max_length=1000)] | None = None
    metadata: Metadata | None = None
    values: Json | None = None
    status: ThreadStatus | None = None


class ThreadSearch(ThreadMatch):
    limit: Limit = 10
    offset: Offset = 0
    sort_by: Literal["thread_id", "status", "created_at", "updated_at", "state_updated_at"] | None = None
    sort_order: Literal["asc", "desc"] | None = None
    select: Names | None = None
    extract: Annotated[dict[str, Annotated[str, AfterValidator(_path)]], Field(max_length=20)] | None = None


class ThreadPrune(BaseModel):
    thread_ids: Annotated[list[str], Field(max_length=1000)]
    strategy: Literal["delete", "keep_latest"] = "delete"


class CheckpointConfig(BaseModel):
    checkpoint_id: str | None = None
    checkpoint_ns: str | None = None
    checkpoint_map: Json | None = None


class StateAtCheckpoint(BaseModel):
    checkpoint: CheckpointConfig = CheckpointConfig()
    subgraphs: bool = False


class StateUpdate(BaseModel):
    values: Json | list[Any] | None = None
    as_node: str | None = None
    checkpoint: CheckpointConfig | None = None
    checkpoint_id: str | None = None


class StateHistory(BaseModel):
    limit: Limit = 1
    before: Json | str | None = None
    metadata: Json | None = None
    checkpoint: CheckpointConfig | None = None


class Command(BaseModel):
    resume: Any = None
    update: Json | list[Any] | None = None
    goto: str | Json | list[str | Json] | None = None


class RunConfig(BaseModel):
    tags: Names = []
    recursion_limit: Annotated[int, Field(ge=1, le=10_000)] | None = None
    configurable: Json = {}
    metadata: Metadata = {}


class RunCreate(BaseModel):
    assistant_id: str
    input: Any = None
    command: Command | None = None
    config: RunConfig | None = None
    context: Json | None = None
    metadata: Metadata | None = None
    checkpoint: CheckpointConfig | None = None
    checkpoint_id: str | None = None
    interrupt_before: Nodes | None = None
    interrupt_after: Nodes | None = None
    stream_mode: StreamMode | list[StreamMode] = ["values"]
    stream_subgraphs: bool = False
    stream_resumable: bool = False
    feedback_keys: Names | None = None
    webhook: Annotated[str, Field(max_length=2048)] | None = None
    multitask_strategy: Strategy | None = None
    if_not_exists: Literal["create", "reject"] | None = None
    on_disconnect: Literal["continue", "cancel"] | None = None
    on_completion: Literal["delete", "keep"] | None = None
    after_seconds: Annotated[float, Field(ge=0, le=MOST_SECONDS)] | None = None
    durability: Literal["sync", "async", "exit"] | None = None
    checkpoint_during: bool | None = None

    @property
    def modes(self) -> list[str]:
        return [self.stream_mode] if isinstance(self.stream_mode, str) else list(self.stream_mode)


class RunsCancel(BaseModel):
    thread_id: str | None = None
    run_ids: Annotated[list[str], Field(max_length=1000)] | None = None
    status: Literal["pending", "running", "all"] | None = None
