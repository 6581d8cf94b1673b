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
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.struct_pb2 import Struct, Value
from langchain_core.messages import HumanMessage

from agent_runtime.turns import outputs as out

DEEPEST_JSON = 25
"""Deeper values become text: protobuf reads 100 levels back, and an object in a value takes three of them."""

_LARGEST_EXACT = 2**53


def incoming_parts(message: Message) -> list[out.Part]:
    """The parts of a caller's message. Raises `ValueError` for one without content."""
    return [_incoming_part(part) for part in message.parts]


def _incoming_part(part: Part) -> out.Part:
    match part.WhichOneof("content"):
        case "text":
            return out.Text(part.text)
        case "data":
            return out.Data(plain_numbers(MessageToDict(part.data)))
        case "raw":
            return out.File(part.filename, part.media_type or "application/octet-stream", content=part.raw)
        case "url":
            return out.File(part.filename, part.media_type or "application/octet-stream", url=part.url)
        case _:
            raise ValueError("a part needs one of text, raw, url and data")


def plain_numbers(value: Any) -> Any:
    """A2A's numbers are all floats; the ones that are whole come back as the integers they were sent as."""
    if isinstance(value, float):
        return int(value) if value.is_integer() and abs(value) <= _LARGEST_EXACT else value
    if isinstance(value, dict):
        return {key: plain_numbers(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain_numbers(item) for item in value]
    return value


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
    known = {artifact.artifact_id for artifact in task.artifacts}
    events: list[TaskStatusUpdateEvent | TaskArtifactUpdateEvent] = []
    for output in outputs:
        if isinstance(output, out.Artifact):
            event = _artifact_event(task, output, known)
            known.add(event.artifact.artifact_id)
            events.append(event)
        else:
            working = status(TaskState.TASK_STATE_WORKING, at, _tool_message(task, output))
            events.append(status_event(task, working))
    return events


def _artifact_event(task: Task, output: out.Artifact, known: set[str]) -> TaskArtifactUpdateEvent:
    artifact = Artifact(
        artifact_id=valid_text(output.artifact_id),
        name=valid_text(output.name),
        description=valid_text(output.description),
        parts=[outgoing_part(part) for part in output.parts],
        metadata=json_object(output.metadata) if output.metadata else None,
    )
    return TaskArtifactUpdateEvent(
        task_id=task.id,
        context_id=task.context_id,
        artifact=artifact,
        # A2A has no chunk without a beginning: the first one of an artifact starts it, whatever it says.
        append=output.append and artifact.artifact_id in known,
        last_chunk=output.last,
    )


def _tool_message(task: Task, output: out.ToolCalled | out.ToolAnswered) -> Message:
    data: dict[str, Any]
    match output:
        case out.ToolCalled(call_id, name, arguments):
            text = f"calling {name}"
            data = {"tool_call": {"id": call_id, "name": name, "arguments": arguments}}
        case out.ToolAnswered(call_id, name, failed):
            text = f"{name} failed" if failed else f"{name} answered"
            data = {"tool_result": {"id": call_id, "name": name, "failed": failed}}
    return agent_message([out.Text(text), out.Data(data)], context_id=task.context_id, task_id=task.id)


def valid_text(text: str) -> str:
    """The text with what is not Unicode (half a surrogate pair) replaced: A2A could not carry it."""
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
    if isinstance(value, int | float):
        return _jsonable_number(value)
    if levels == 0:
        return valid_text(_as_text(value))
    if isinstance(value, Mapping):
        return {valid_text(str(key)): _jsonable(item, levels - 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(item, levels - 1) for item in value]
    return valid_text(str(value))


def _jsonable_number(value: float) -> Any:
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_EXACT else str(value)
    return value if math.isfinite(value) else str(value)


def _as_text(value: Any) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, default=str)
    except (ValueError, RecursionError):
        return f"({type(value).__name__})"
