"""What a run streams, in the frames that LangGraph's clients read."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import AIMessageChunk, BaseMessage
from langchain_core.messages.utils import message_chunk_to_message
from pydantic_core import to_json

from agent_runtime.graph.outputs import StreamFrame
from agent_runtime.turns.graph_call import GraphCall

EVENTS = "events"
_MODES = ("values", "updates", "custom", "tasks", "checkpoints", "debug")
_HIDDEN = "langsmith:hidden"


class StreamFrames:
    """Makes the frames that one run was asked for of what its graph streams."""

    def __init__(self, call: GraphCall) -> None:
        self._wanted = frozenset(call.stream_modes)
        self._subgraphs = call.subgraphs
        self._only_result = call.only_result
        self._said: dict[str, BaseMessage] = {}
        self._result: Any = None

    @property
    def modes(self) -> list[str]:
        """LangGraph's modes that are needed beside those which every turn is streamed in."""
        return [mode for mode in ("tasks", "checkpoints", "debug") if mode in self._wanted]

    @property
    def has_events(self) -> bool:
        return EVENTS in self._wanted

    def read(self, namespace: tuple[str, ...], mode: str, chunk: Any) -> Iterator[StreamFrame]:
        """Yield the frames for a chunk of the stream."""
        if self._only_result:
            self._result = chunk if mode == "values" and not namespace else self._result
        elif mode == "messages":
            yield from self._message_frames(namespace, *chunk)
        elif mode in self._wanted and mode in _MODES and (self._subgraphs or not namespace):
            yield StreamFrame(self._event_of(mode, namespace), encoded(chunk))

    def read_event(self, event: Mapping[str, Any]) -> Iterator[StreamFrame]:
        """Yield the frame for one of LangChain's events."""
        if _HIDDEN not in event.get("tags", ()):
            yield StreamFrame(EVENTS, encoded(event))

    def result(self) -> Iterator[StreamFrame]:
        """Yield what is said when the run has stopped."""
        if self._only_result and self._result is not None:
            yield StreamFrame("values", encoded(self._result))

    def _message_frames(
        self, namespace: tuple[str, ...], message: BaseMessage, metadata: Mapping[str, Any]
    ) -> Iterator[StreamFrame]:
        if "messages-tuple" in self._wanted:
            yield StreamFrame(self._event_of("messages", namespace), encoded([message, metadata]))
        if "messages" not in self._wanted:
            return
        message_id = message.id or ""
        if message_id not in self._said:
            yield StreamFrame("messages/metadata", encoded({message_id: {"metadata": metadata}}))
        if not isinstance(message, AIMessageChunk):
            self._said[message_id] = message
            yield StreamFrame("messages/complete", encoded([message]))
            return
        before = self._said.get(message_id)
        so_far = before + message if isinstance(before, AIMessageChunk) else message
        self._said[message_id] = so_far
        yield StreamFrame("messages/partial", encoded([message_chunk_to_message(so_far)]))

    def _event_of(self, mode: str, namespace: Sequence[str]) -> str:
        """Without subgraphs what a model says in one is shown as if it were said at the root."""
        return "|".join((mode, *namespace)) if self._subgraphs else mode


def encoded(value: Any) -> str:
    """Return the value as JSON in one line: models and dataclasses as objects, bytes as base64, what JSON has no
    word for as null or its text."""
    try:
        return to_json(value, bytes_mode="base64", inf_nan_mode="null", fallback=str).decode()
    except (ValueError, TypeError, RecursionError):  # it holds itself, or half a surrogate pair
        return json.dumps(str(value))
