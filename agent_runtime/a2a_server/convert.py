"""Between A2A's messages and the agent's own words. Everything here is pure."""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import uuid4

from a2a.types import (
    Artifact,
    Message,
    Part,
    Role,
    SendMessageRequest,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.struct_pb2 import Struct, Value
from langchain_core.messages import HumanMessage

from agent_runtime.a2a_server.exact import MARK, marked, unmarked
from agent_runtime.a2a_server.tasks import extend
from agent_runtime.graph import outputs as out
from agent_runtime.turns.final import jsonable

Json = dict[str, Any]

DEEPEST_JSON = 25
"""Deeper values become text: protobuf reads 100 levels back, and an object in a value takes three of them."""


def incoming_metadata(message: Message) -> tuple[Json, list[Json]]:
    """The metadata of a caller's message, and that of each of its parts; no list where no part has any."""
    of_parts = [_metadata_of(part) for part in message.parts]
    return _metadata_of(message), of_parts if any(of_parts) else []


def _metadata_of(holder: Message | Part) -> Json:
    if not holder.HasField("metadata"):
        return {}
    metadata: Json = unmarked(MessageToDict(holder.metadata))
    return metadata


def incoming_parts(message: Message) -> list[out.Part]:
    """The parts of a caller's message. Raises `ValueError` for one without content."""
    return [_incoming_part(part) for part in message.parts]


def _incoming_part(part: Part) -> out.Part:
    match part.WhichOneof("content"):
        case "text":
            return out.Text(part.text)
        case "data":
            return out.Data(unmarked(MessageToDict(part.data)))
        case "raw":
            return out.File(part.filename, part.media_type or "application/octet-stream", content=part.raw)
        case "url":
            return out.File(part.filename, part.media_type or "application/octet-stream", url=part.url)
        case _:
            raise ValueError("a part needs one of text, raw, url and data")


def metadata_of(params: SendMessageRequest) -> dict[str, Any]:
    """What a call says about itself: the request's metadata, and the message's over it."""
    said: Json = unmarked({**MessageToDict(params.metadata), **MessageToDict(params.message.metadata)})
    return said


def user_message(message: HumanMessage, *, message_id: str, context_id: str, task_id: str) -> Message:
    """What a turn that did not come in over A2A looks like in a task's history."""
    return _message(Role.ROLE_USER, [out.Text(str(message.text))], context_id, task_id, message_id)


def agent_message(parts: Iterable[out.Part], *, context_id: str, task_id: str = "") -> Message:
    """A message of the agent; without a task id it is one that stands for itself."""
    return _message(Role.ROLE_AGENT, parts, context_id, task_id, str(uuid4()))


def _message(role: Role, parts: Iterable[out.Part], context_id: str, task_id: str, message_id: str) -> Message:
    return Message(
        message_id=message_id,
        role=role,
        context_id=context_id,
        task_id=task_id,
        parts=[outgoing_part(part) for part in parts],
    )


def outgoing_part(part: out.Part) -> Part:
    match part:
        case out.Text(text):
            return Part(text=valid_text(text), media_type="text/plain")
        case out.Data(value):
            return Part(data=json_value(value), media_type="application/json")
        case out.File(name, media_type, content, url):
            made = Part(url=valid_text(url)) if url is not None else Part(raw=content or b"")
            made.filename, made.media_type = valid_text(name), valid_text(media_type)
            return made


def new_task(task_id: str, message: Message) -> Task:
    """A task that has no status yet."""
    return Task(id=task_id, context_id=message.context_id, history=[message])


def status(state: TaskState, at: datetime, message: Message | None = None) -> TaskStatus:
    made = TaskStatus(message=message) if message else TaskStatus()
    made.state = state
    made.timestamp.FromDatetime(at)
    return made


def status_event(task: Task, status: TaskStatus) -> TaskStatusUpdateEvent:
    return TaskStatusUpdateEvent(task_id=task.id, context_id=task.context_id, status=status)


def output_events(
    task: Task, outputs: Sequence[out.Output], at: datetime
) -> list[TaskStatusUpdateEvent | TaskArtifactUpdateEvent]:
    """What a turn put out, as the events of its task."""
    chunks = _Chunks(task)
    events: list[TaskStatusUpdateEvent | TaskArtifactUpdateEvent] = []
    for output in outputs:
        if isinstance(output, out.Artifact):
            events.append(_artifact_event(task, output, chunks))
        elif not isinstance(output, out.StreamFrame):
            working = status(TaskState.TASK_STATE_WORKING, at, _event_message(task, output))
            events.append(status_event(task, working))
    return events


class _Chunks:
    """The artifacts of a task, each with the chunks of it that are to be written now and are not folded in yet."""

    def __init__(self, task: Task) -> None:
        self._chunks = {artifact.artifact_id: [artifact] for artifact in task.artifacts}

    def has(self, artifact_id: str) -> bool:
        return artifact_id in self._chunks

    def add(self, chunk: Artifact, *, append: bool) -> None:
        known = self._chunks.get(chunk.artifact_id, []) if append else []
        self._chunks[chunk.artifact_id] = [*known, chunk]

    def whole(self, artifact_id: str) -> Artifact:
        made = Artifact()
        first, *others = self._chunks[artifact_id]
        made.CopyFrom(first)
        for chunk in others:
            extend(made, chunk)
        return made


def _artifact_event(task: Task, output: out.Artifact, chunks: _Chunks) -> TaskArtifactUpdateEvent:
    artifact = Artifact(
        artifact_id=valid_text(output.artifact_id),
        name=valid_text(output.name),
        description=valid_text(output.description),
        parts=[outgoing_part(part) for part in output.parts],
        metadata=json_object(output.metadata) if output.metadata else None,
    )
    # A2A has no chunk without a beginning: the first one of an artifact starts it, whatever it says.
    append = output.append and chunks.has(artifact.artifact_id)
    chunks.add(artifact, append=append)
    if append and output.last:
        # The closing update says the whole in place of the chunks: there are clients that keep only the last one.
        artifact, append = chunks.whole(artifact.artifact_id), False
    return TaskArtifactUpdateEvent(
        task_id=task.id, context_id=task.context_id, artifact=artifact, append=append, last_chunk=output.last
    )


def _event_message(task: Task, output: out.ToolCalled | out.ToolAnswered | out.CustomEvent) -> Message:
    data: dict[str, Any]
    match output:
        case out.CustomEvent(value):
            said = out.Text(value) if isinstance(value, str) else out.Data(value)
            return agent_message([said], context_id=task.context_id, task_id=task.id)
        case out.ToolCalled(call_id, name, arguments):
            text = f"calling {name}"
            data = {"tool_call": {"id": call_id, "name": name, "arguments": arguments}}
        case out.ToolAnswered(call_id, name, failed):
            text = f"{name} failed" if failed else f"{name} answered"
            data = {"tool_result": {"id": call_id, "name": name, "failed": failed}}
    return agent_message([out.Text(text), out.Data(data)], context_id=task.context_id, task_id=task.id)


def valid_text(text: str) -> str:
    """The text with what cannot be carried replaced: what is not Unicode (half a surrogate pair), our mark."""
    if MARK in text:
        text = text.replace(MARK, "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode()
    return text


def json_value(value: Any) -> Value:
    """Any value as A2A can carry it. What JSON has no word for becomes its text; so does what is too deep."""
    try:
        return ParseDict(_jsonable(value, DEEPEST_JSON), Value())
    except ParseError:
        return Value(string_value=valid_text(str(value)))


def json_object(value: Mapping[str, Any]) -> Struct:
    return json_value(dict(value)).struct_value


def _jsonable(value: Any, levels: int) -> Any:
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return valid_text(value)
    if isinstance(value, int):
        return marked(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if levels == 0:
        return valid_text(_as_text(value))
    if isinstance(value, Mapping):
        return {valid_text(str(key)): _jsonable(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(item, levels - 1) for item in value]
    plain = jsonable(value)  # a model or a dataclass, perhaps
    return _jsonable(plain, levels) if isinstance(plain, dict | list) else valid_text(str(plain))


def _as_text(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return f"({type(value).__name__})"
