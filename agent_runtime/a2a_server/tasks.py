"""A task as it is stored and as it changes: the snapshot, the events after it, and how the two are folded."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from io import BytesIO

from a2a.types import (
    Artifact,
    Message,
    Part,
    StreamResponse,
    Task,
    TaskArtifactUpdateEvent,
    TaskPushNotificationConfig,
    TaskState,
    TaskStatusUpdateEvent,
)
from a2a.utils.proto_utils import to_stream_response
from google.protobuf.proto import parse_length_prefixed, serialize_length_prefixed

from agent_runtime.turns.types import TurnRequest

Event = Message | Task | TaskStatusUpdateEvent | TaskArtifactUpdateEvent

TERMINAL = frozenset(
    {
        TaskState.TASK_STATE_COMPLETED,
        TaskState.TASK_STATE_CANCELED,
        TaskState.TASK_STATE_FAILED,
        TaskState.TASK_STATE_REJECTED,
    }
)
INTERRUPTED = frozenset({TaskState.TASK_STATE_INPUT_REQUIRED, TaskState.TASK_STATE_AUTH_REQUIRED})
_ENDS = TERMINAL | INTERRUPTED

ANSWERED = "ANSWERED"
"""The stored state of a task whose answer has been accepted but still waits behind other turns. Callers see
SUBMITTED; the pause in the graph is still there, and a turn that would discard it must not start."""


@dataclass(frozen=True)
class A2ATurnRequest(TurnRequest):
    """A turn request with what A2A keeps of it: the message as it came, and where to send notifications.

    `told` says that the caller will know the task's id before the turn has ended, so that the task has to
    stay even if the graph answers with a bare message.
    """

    original: Message = field(default_factory=Message)
    push: TaskPushNotificationConfig | None = None
    told: bool = False
    answered_by: str | None = None
    """The operator who answers in place of the caller."""
    question: str | None = None
    """The digest of the question that the answer is for; any other is not answered with it."""


@dataclass(frozen=True)
class TaskEvent:
    """One thing that happened to a task. Nothing here may be changed: followers share it.

    `snapshot` is the task after the event, where whoever published it had it at hand.
    """

    version: int
    event: Event
    snapshot: Task | None = None

    @property
    def is_all(self) -> bool:
        """A bare message: its task was deleted with it."""
        return isinstance(self.event, Message)

    @property
    def ends(self) -> bool:
        """Whether nothing follows until somebody sends another message."""
        if isinstance(self.event, Message):
            return True
        if isinstance(self.event, TaskArtifactUpdateEvent):
            return False
        return self.event.status.state in _ENDS


@dataclass
class StoredTask:
    """A task as the database has it: the snapshot with every later event folded in, up to `version`."""

    task: Task
    version: int
    state: str
    thread_id: str
    owner_key: int
    caller: str

    @property
    def is_terminal(self) -> bool:
        return self.task.status.state in TERMINAL

    @property
    def is_waiting(self) -> bool:
        return self.task.status.state in INTERRUPTED


def question_digest(task: Task) -> str:
    """Return what tells the question that the task asks from every other: its message has an id of its own."""
    return sha256(task.status.message.SerializeToString(deterministic=True)).hexdigest()


def state_name(state: TaskState) -> str:
    """How a state is stored: `WORKING`, `INPUT_REQUIRED`, ..."""
    return TaskState.Name(state).removeprefix("TASK_STATE_")


def fold(task: Task, event: Event) -> None:
    """Applies an event to the task it is about.

    A question (input-required) goes into the history too, where the conversation can be read; what the agent
    says while it works does not.
    """
    if isinstance(event, TaskArtifactUpdateEvent):
        _fold_artifact(task, event)
    elif isinstance(event, TaskStatusUpdateEvent):
        task.status.CopyFrom(event.status)
        if event.status.state in INTERRUPTED and event.status.HasField("message"):
            task.history.append(event.status.message)
    elif isinstance(event, Task):
        task.CopyFrom(event)


def _fold_artifact(task: Task, event: TaskArtifactUpdateEvent) -> None:
    ids = [artifact.artifact_id for artifact in task.artifacts]
    at = ids.index(event.artifact.artifact_id) if event.artifact.artifact_id in ids else None
    if at is None:
        if not _is_empty(event.artifact):
            task.artifacts.append(event.artifact)
    elif event.append:
        extend(task.artifacts[at], event.artifact)
    elif _is_empty(event.artifact):
        del task.artifacts[at]
    else:
        task.artifacts[at].CopyFrom(event.artifact)


def extend(artifact: Artifact, chunk: Artifact) -> None:
    """Add a chunk to an artifact. The text that it begins with goes on in the text before it, so that an answer is
    one part, however many chunks it came in."""
    parts = [part for part in chunk.parts if not _is_empty_text(part)]
    if parts and artifact.parts and _goes_on(artifact.parts[-1], parts[0]):
        artifact.parts[-1].text += parts.pop(0).text
    artifact.parts.extend(parts)
    artifact.metadata.update(dict(chunk.metadata.items()))


def _goes_on(before: Part, part: Part) -> bool:
    both_are_text = before.HasField("text") and part.HasField("text")
    return both_are_text and before.media_type == part.media_type


def _is_empty(artifact: Artifact) -> bool:
    """Whether this takes the artifact back: A2A has no other word for it."""
    return all(_is_empty_text(part) for part in artifact.parts)


def _is_empty_text(part: Part) -> bool:
    return part.HasField("text") and not part.text


def retold(task: Task, version: int) -> list[TaskEvent]:
    """What the task has come to, for those who have heard a part of it: each artifact with all it has so far, in
    place of what they have of it, and the status. All of it is so at `version`, and has that version."""
    told: list[TaskEvent] = []
    has_ended = task.status.state in TERMINAL
    for artifact in task.artifacts:
        event = TaskArtifactUpdateEvent(
            task_id=task.id, context_id=task.context_id, artifact=artifact, last_chunk=has_ended
        )
        told.append(TaskEvent(version, event))
    status = TaskStatusUpdateEvent(task_id=task.id, context_id=task.context_id, status=task.status)
    return [*told, TaskEvent(version, status, task)]


def says_as_much(task: Task, version: int, events: Sequence[Event]) -> bool:
    """Whether the task says all that `events`, which have led to it from `version`, could tell a follower: they
    lead from its first version to its last, and nothing but its artifacts has come on the way."""
    is_whole = version == 1 and task.status.state in TERMINAL
    return is_whole and not any(isinstance(event, TaskStatusUpdateEvent) for event in events[:-1])


def copy_of(task: Task) -> Task:
    made = Task()
    made.CopyFrom(task)
    return made


def events_to_bytes(events: Iterable[Event]) -> bytes:
    """The events as stream responses, one after the other, each behind its length."""
    written = BytesIO()
    for event in events:
        serialize_length_prefixed(to_stream_response(event), written)
    return written.getvalue()


def events_from_bytes(data: bytes) -> Iterator[Event]:
    """What `events_to_bytes` has written."""
    source = BytesIO(data)
    while (response := parse_length_prefixed(StreamResponse, source)) is not None:
        name = response.WhichOneof("payload")
        assert name is not None, "a stream response without an event"
        yield getattr(response, name)
