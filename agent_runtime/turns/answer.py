"""From what a graph streams to what a caller is told: text in chunks, and tool calls."""

from collections.abc import Sequence
from itertools import takewhile
from typing import Any

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    ToolMessage,
)

from agent_runtime.graph.outputs import Artifact, Output, Part, Text, ToolAnswered, ToolCalled
from agent_runtime.turns.final import as_message, messages_of


class AnswerText:
    """The artifact that the model's words become.

    Words are gathered by `add` and handed out by `take`, so that a chunk holds what came in since the last
    one. The artifact shows one message at a time, the one that began last: its first chunk replaces what was
    there, and what is still said in earlier messages, by a node that runs at the same time, is left out.
    """

    def __init__(self, artifact_id: str) -> None:
        self._artifact_id = artifact_id
        self._message_id: str | None = None
        self._earlier: set[str] = set()
        self._said = ""
        self._taken = 0
        self._sent = False
        self._replace = False

    def add(self, message: BaseMessage) -> bool:
        """Add a chunk of a message, or a whole one. Return whether there is something to take."""
        text = str(message.text)
        if not text or message.id in self._earlier:
            return False
        if message.id != self._message_id:
            if self._message_id is not None:
                self._earlier.add(self._message_id)
            self._message_id = message.id
            if text == self._said and not isinstance(message, AIMessageChunk):
                return False  # a node has put the same words into a message of its own
            self._replace = self._sent
            self._said, self._taken = "", 0
        self._said += text
        return True

    def take(self) -> list[Artifact]:
        """Return what came in since the last time."""
        text = self._said[self._taken :]
        if not text:
            return []
        chunk = self._artifact((Text(text),), append=self._sent and not self._replace, last=False)
        self._taken, self._sent, self._replace = len(self._said), True, False
        return [chunk]

    def finish(self, parts: Sequence[Part]) -> list[Artifact]:
        """Return the end of the artifact, given the whole answer as the conversation has it.

        It is said whole, in place of the chunks: there are clients that keep only the last update. Without
        parts, what was shown has become no part of the conversation, and is taken back.
        """
        if parts or self._sent:
            return [self._artifact(tuple(parts) or (Text(""),), append=False, last=True)]
        return []

    @property
    def has_spoken(self) -> bool:
        return bool(self._said)

    def _artifact(self, parts: tuple[Part, ...], *, append: bool, last: bool) -> Artifact:
        return Artifact(self._artifact_id, "answer", parts, append=append, last=last)


class _Known:
    """The messages of a graph that were seen already. Of a long conversation only the end is looked at, as long as
    it only grows."""

    def __init__(self, messages: Sequence[Any]) -> None:
        self._ids: set[str] | None = None
        self._take_note(messages)

    def take_fresh(self, messages: Sequence[Any]) -> Sequence[Any]:
        """What has come after those that are known, which are known from now on."""
        if self._ids is None and self._continues(messages):
            fresh = messages[self._count :]
            self._take_note(messages)
            return fresh
        known = self._known_ids()
        newest = list(takewhile(lambda message: _id_of(message) not in known, reversed(messages)))
        known.update(message_id for message in newest if (message_id := _id_of(message)))
        return newest[::-1]

    def _take_note(self, messages: Sequence[Any]) -> None:
        self._messages, self._count = messages, len(messages)
        self._last = messages[-1] if messages else None

    def _continues(self, messages: Sequence[Any]) -> bool:
        if self._last is None:
            return self._count == 0
        return len(messages) >= self._count and messages[self._count - 1] is self._last

    def _known_ids(self) -> set[str]:
        if self._ids is None:
            said = self._messages[: self._count]
            self._ids = {message_id for message in said if (message_id := _id_of(message))}
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
        return [output for message in known.take_fresh(messages) for output in self._report(as_message(message))]

    def _report(self, message: BaseMessage | None) -> list[Output]:
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


def _id_of(message: Any) -> str | None:
    return getattr(message, "id", None)
