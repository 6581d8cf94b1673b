"""From what a graph streams to what a caller is told: text in chunks, tool calls, the final answer."""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    AnyMessage,
    BaseMessage,
    HumanMessage,
    ToolMessage,
)

from agent_runtime.turns.outputs import Artifact, Output, Text, ToolAnswered, ToolCalled


class AnswerText:
    """The artifact that the model's words become.

    Words are gathered by `add` and handed out by `take`, so that a chunk holds what came in since the last
    one. When the model begins another message, the first chunk of it replaces what was there: at the end
    the artifact is the last message alone, as it stands in the conversation.
    """

    def __init__(self, artifact_id: str) -> None:
        self._artifact_id = artifact_id
        self._message_id: str | None = None
        self._said = ""
        self._taken = 0
        self._sent = False
        self._replace = False

    def add(self, message: BaseMessage) -> bool:
        """Adds a chunk of a message, or a whole one. Returns whether there is something to take."""
        text = str(message.text)
        if not text:
            return False
        if message.id != self._message_id:
            self._replace = self._sent
            self._message_id, self._said, self._taken = message.id, "", 0
        self._said += text
        return True

    def take(self, *, last: bool = False) -> list[Artifact]:
        """What came in since the last time; `last` says on it that nothing follows."""
        text = self._said[self._taken :]
        if not text:
            return []
        chunk = self._artifact(text, append=self._sent and not self._replace, last=last)
        self._taken, self._sent, self._replace = len(self._said), True, False
        return [chunk]

    def finish(self, final: str) -> list[Artifact]:
        """The end of the text, given how the answer reads in the conversation."""
        if final and final != self._said:
            return [self._artifact(final, append=False, last=True)]
        if rest := self.take(last=True):
            return rest
        # Everything has been said already, but not yet that this was all.
        return [self._artifact("", append=True, last=True)] if self._sent else []

    def _artifact(self, text: str, *, append: bool, last: bool) -> Artifact:
        return Artifact(self._artifact_id, "answer", (Text(text),), append=append, last=last)


class _Known:
    """The messages of a graph that were seen already. Of a long conversation only the end is looked at, as long as
    it only grows."""

    def __init__(self, messages: Sequence[BaseMessage]) -> None:
        self._ids: set[str] | None = None
        self._take_note(messages)

    def take_fresh(self, messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
        """What has come after those that are known, which are known from now on."""
        if self._ids is None and self._continues(messages):
            fresh = messages[self._count :]
            self._take_note(messages)
            return fresh
        known = self._known_ids()
        newest = list(takewhile(lambda message: message.id not in known, reversed(messages)))
        known.update(message.id for message in newest if message.id)
        return newest[::-1]

    def _take_note(self, messages: Sequence[BaseMessage]) -> None:
        self._messages, self._count = messages, len(messages)
        self._last = messages[-1] if messages else None

    def _continues(self, messages: Sequence[BaseMessage]) -> bool:
        if self._last is None:
            return self._count == 0
        return len(messages) >= self._count and messages[self._count - 1] is self._last

    def _known_ids(self) -> set[str]:
        if self._ids is None:
            self._ids = {message.id for message in self._messages[: self._count] if message.id}
        return self._ids


class ToolLog:
    """Reports each tool call and each result once, from the states of the graph and of its subgraphs."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, ...], _Known] = {}
        self._names: dict[str, str] = {}
        self._answered: set[str] = set()

    def read(self, namespace: tuple[str, ...], state: Any) -> list[Output]:
        """The outputs for what is new in a state; the first state of a graph is only taken note of."""
        messages = messages_of(state)
        known = self._known.get(namespace)
        if known is None:
            self._known[namespace] = _Known(messages)
            return []
        return [output for message in known.take_fresh(messages) for output in self._report(message)]

    def _report(self, message: BaseMessage) -> list[Output]:
        outputs: list[Output] = []
        if isinstance(message, AIMessage):
            for call in message.tool_calls:
                call_id = call["id"] or ""
                if call_id not in self._names:
                    self._names[call_id] = call["name"]
                    outputs.append(ToolCalled(call_id, call["name"], call["args"]))
        elif isinstance(message, ToolMessage) and message.tool_call_id not in self._answered:
            self._answered.add(message.tool_call_id)
            name = message.name or self._names.get(message.tool_call_id, "")
            outputs.append(ToolAnswered(message.tool_call_id, name, failed=message.status == "error"))
        return outputs


def messages_of(state: Any) -> Sequence[AnyMessage]:
    """The conversation in a state, whatever its schema is: a dict, a dataclass, a Pydantic model."""
    messages = state.get("messages") if isinstance(state, dict) else getattr(state, "messages", None)
    return messages if isinstance(messages, list) else []


def final_answer(messages: Sequence[BaseMessage]) -> str:
    """The text of the last AI message since the last human one; `""` when there is none."""
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            return ""
        if isinstance(message, AIMessage | AIMessageChunk):
            return str(message.text)
    return ""
