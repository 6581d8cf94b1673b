"""Asking another A2A agent: one message there, and what came of it as text for the model."""

import asyncio
import json
from collections.abc import Iterable

import httpx
from a2a.client import A2AClientTimeoutError, Client
from a2a.helpers import new_text_message
from a2a.types import (
    AgentCard,
    GetTaskRequest,
    Message,
    Part,
    Role,
    SendMessageRequest,
    StreamResponse,
    Task,
    TaskState,
)
from a2a.utils.errors import A2AError
from google.protobuf.json_format import ParseError
from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import BaseModel, Field, ValidationError
from pydantic.v1 import ValidationError as ValidationErrorV1

from agent_runtime.project.outbound import Peer
from agent_runtime.tools.connection_state import Timing
from agent_runtime.tools.cutting import cut
from agent_runtime.tools.naming import tool_name
from agent_runtime.tools.peer_notes import CallNotes
from groundwork.outgoing.a2a_answers import SentData, keeping_data
from groundwork.outgoing.fetch import FetchFailed
from groundwork.outgoing.masking import Mask

_LONGEST_DESCRIPTION = 2000
_MOST_SKILLS = 20
_STILL_WORKING = (TaskState.TASK_STATE_SUBMITTED, TaskState.TASK_STATE_WORKING)
_FIRST_LOOK_SECONDS, _LONGEST_LOOK_SECONDS = 0.2, 5.0


class PeerQuestion(BaseModel):
    """What the model fills in."""

    message: str = Field(min_length=1, description="What to ask or tell the other agent, in full.")
    task_id: str | None = Field(
        default=None, description="Only to answer a question the other agent asked: the task id it gave."
    )
    context_id: str | None = Field(
        default=None, description="Only to continue an earlier conversation: the context id it gave."
    )


def build_peer_tool(
    peer: Peer, card: AgentCard, client: Client, timing: Timing, mask: Mask, notes: CallNotes
) -> BaseTool:
    """The peer as a tool. What the card says stays inside the description, and is bounded."""
    calls = _PeerCalls(peer.name, client, peer.timeout_seconds or timing.ask_timeout_seconds, mask, notes)
    return StructuredTool.from_function(
        coroutine=calls.ask,
        name=tool_name("ask", peer.name),
        description=_description(card),
        args_schema=PeerQuestion,
        handle_tool_error=True,
        handle_validation_error=_explain_arguments,
    )


def _explain_arguments(error: ValidationError | ValidationErrorV1) -> str:
    """Which argument is wrong, and what is accepted, for the model to do better; nothing was sent."""
    problems = [f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()]
    fields = PeerQuestion.model_fields.items()
    accepted = ", ".join(f"{name} (text{'' if field.is_required() else ', optional'})" for name, field in fields)
    return f"nothing was sent: {'; '.join(problems)}. Accepted are {accepted}"


class _PeerCalls:
    def __init__(self, name: str, client: Client, timeout: float, mask: Mask, notes: CallNotes) -> None:
        self._name = name
        self._client = client
        self._timeout = timeout
        self._mask = mask
        self._notes = notes

    async def ask(self, message: str, task_id: str | None = None, context_id: str | None = None) -> str:
        """Sends the message once, and never again: the other agent may have acted on it."""
        with keeping_data() as sent:
            return await self._ask(sent, message, task_id, context_id)

    async def _ask(self, data: SentData, message: str, task_id: str | None, context_id: str | None) -> str:
        working: Task | None = None
        await self._notes.begins()
        sent = new_text_message(message, context_id=context_id, task_id=task_id, role=Role.ROLE_USER)
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._send(sent)
                if not answer.HasField("task"):
                    await self._notes.has_come_to(answer.message.context_id)
                    return cut(_text(answer.message.parts, data) or "(an empty message)")
                task = working = answer.task
                await self._notes.has_come_to(task.context_id, task)
                pause = _FIRST_LOOK_SECONDS
                while task.status.state in _STILL_WORKING:
                    await asyncio.sleep(pause)
                    task = await self._client.get_task(GetTaskRequest(id=task.id))
                    pause = min(pause * 2, _LONGEST_LOOK_SECONDS)
        except FetchFailed as error:
            raise self._refused(error, working) from error
        except (TimeoutError, A2AClientTimeoutError) as error:
            raise self._no_answer_in_time(error, working) from error
        except (A2AError, httpx.HTTPError, httpx.InvalidURL, ParseError, ValueError, KeyError) as error:
            raise self._failed(error, working) from error
        await self._notes.has_come_to(task.context_id, task)
        return cut(self._outcome(task, data))

    async def _send(self, message: Message) -> StreamResponse:
        answer = StreamResponse()
        async for event in self._client.send_message(SendMessageRequest(message=message)):
            answer = event
        return answer

    def _outcome(self, task: Task, data: SentData) -> str:
        state, said = task.status.state, _text(task.status.message.parts, data)
        if state == TaskState.TASK_STATE_COMPLETED:
            answer = _artifacts(task, said, data) or "(done, without a text)"
            return f"{answer}\n\n(To continue this conversation: context_id={task.context_id})"
        if state == TaskState.TASK_STATE_INPUT_REQUIRED:
            return (
                f"{self._name} asks: {said or '(no question given)'}\n\n"
                f"(To answer, call this tool again with the answer as message, task_id={task.id}"
                f" and context_id={task.context_id})"
            )
        word = TaskState.Name(state).removeprefix("TASK_STATE_").lower().replace("_", " ")
        raise ToolException(self._shown(f"{self._name} did not do it: {word}. {said}"))

    def _refused(self, error: FetchFailed, working: Task | None) -> ToolException:
        """Where the card points to is nowhere that may be connected to, now or by now."""
        reason = self._mask.error(error)
        if working is not None:
            return ToolException(f"{self._name} was lost while it worked on task {working.id}: {reason}")
        return ToolException(f"{self._name} cannot be reached ({reason}); nothing was sent")

    def _no_answer_in_time(self, error: Exception, working: Task | None) -> ToolException:
        if _was_not_sent(error):
            return ToolException(f"{self._name} cannot be reached; nothing was sent")
        if working is not None:
            return ToolException(
                f"{self._name} is still working on it after {self._timeout:g} seconds (task {working.id})"
            )
        return ToolException(
            f"{self._name} gave no answer within {self._timeout:g} seconds; whether it acts on the message is not"
            " known, and it was not sent again"
        )

    def _failed(self, error: Exception, working: Task | None) -> ToolException:
        if _was_not_sent(error):
            return ToolException(f"{self._name} cannot be reached; nothing was sent")
        reason = self._mask.error(error)
        if working is not None:
            return ToolException(f"{self._name} was lost while it worked on task {working.id}: {reason}")
        if isinstance(error.__cause__, httpx.TransportError):
            return ToolException(
                f"{self._name} was lost before it answered ({reason}); whether it acts on the message is"
                " not known, and it was not sent again"
            )
        return ToolException(f"{self._name} answered with an error: {reason}")

    def _shown(self, text: str) -> str:
        return cut(self._mask(text.strip()))


def _was_not_sent(error: Exception) -> bool:
    return isinstance(error.__cause__, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout)


def _description(card: AgentCard) -> str:
    skills = card.skills[:_MOST_SKILLS]
    lines = [
        f"Asks another agent, {_one_line(card.name)}. Its card says: {_one_line(card.description)}",
        *(f"- {_one_line(skill.name)}: {_one_line(skill.description)}" for skill in skills),
    ]
    text = "\n".join(lines)
    return text if len(text) <= _LONGEST_DESCRIPTION else f"{text[: _LONGEST_DESCRIPTION - 1]}…"


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _artifacts(task: Task, said: str, data: SentData) -> str:
    """What was made, after what was said where the artifacts have no words of their own."""
    texts = [(artifact.name, _text(artifact.parts, data)) for artifact in task.artifacts]
    named = texts if len(texts) > 1 else []
    lines = [f"{name or 'artifact'}:\n{text}" for name, text in named if text] or [text for _, text in texts]
    in_words = any(part.text for artifact in task.artifacts for part in artifact.parts)
    return "\n\n".join(filter(None, lines if in_words else [said, *lines]))


def _text(parts: Iterable[Part], data: SentData) -> str:
    return "\n".join(filter(None, (_part_text(part, data) for part in parts)))


def _part_text(part: Part, data: SentData) -> str:
    match part.WhichOneof("content"):
        case "text":
            return part.text
        case "data":
            return json.dumps(data.of(part), ensure_ascii=False)
        case "url":
            return f"[file {part.filename or ''} {part.media_type}: {part.url}]"
        case "raw":
            return f"[file {part.filename or ''} {part.media_type}: {len(part.raw)} bytes]"
        case _:
            return ""
