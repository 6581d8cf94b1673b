"""What a graph has come to, read from the state it ended in: the last message, or the fields of its output."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    ToolMessage,
    convert_to_messages,
)
from pydantic_core import to_jsonable_python

from agent_runtime.graph.outputs import File, Part, Text
from groundwork.http.base64_text import BadBase64, read_base64

logger = logging.getLogger(__name__)

STRUCTURED = "structured_response"
"""Where LangChain's `create_agent` leaves what it was given a `response_format` for."""

_FILE_BLOCKS = frozenset({"image", "audio", "video", "file", "text-plain"})


def messages_of(state: Any) -> Sequence[Any]:
    """Return the conversation in a state, whatever its schema is: a dict, a dataclass, a Pydantic model.

    Its messages may be what LangChain takes for one: a dict, a tuple of role and text. A state that is one value,
    as an `@entrypoint` has it, is a conversation when it is a text, a message or a list of messages.
    """
    if isinstance(state, str | BaseMessage):
        return [state]
    if isinstance(state, list):
        return state if all(isinstance(message, BaseMessage) for message in state) else []
    messages = state.get("messages") if isinstance(state, dict) else getattr(state, "messages", None)
    return messages if isinstance(messages, list) else []


def as_message(value: Any) -> BaseMessage | None:
    """Return the message that `value` stands for; `None` when it stands for none. A bare text is the agent's:
    what a caller says comes as a message."""
    if isinstance(value, BaseMessage):
        return value
    if isinstance(value, str):
        return AIMessage(value)
    try:
        (message,) = convert_to_messages([value])
    except (ValueError, TypeError, LookupError, AttributeError, NotImplementedError):
        return None  # a list of that name may hold anything
    return message


def conversation_of(state: Any) -> Sequence[BaseMessage]:
    """Return the messages of a state as LangChain's."""
    messages = messages_of(state)
    if all(isinstance(message, BaseMessage) for message in messages):
        return messages
    return [message for value in messages if (message := as_message(value)) is not None]


def final_parts(messages: Sequence[BaseMessage], *, tools: bool = True) -> list[Part]:
    """Return what the last message since the last human one says: its text, then its images and files.

    With `tools`, results of tools are the answer when nothing follows them: that is how a graph ends whose
    tools are marked `return_direct`.
    """
    results: list[ToolMessage] = []
    for message in _since_the_last_human(messages):
        if isinstance(message, ToolMessage):
            results.insert(0, message)
        elif isinstance(message, AIMessage):
            return (_parts_of(*results) if tools else []) or _parts_of(message)
    return _parts_of(*results) if tools else []


def last_words(messages: Sequence[BaseMessage]) -> list[Part]:
    """Return the text of the last message since the last human one in which the agent says anything."""
    spoken = (message for message in _since_the_last_human(messages) if isinstance(message, AIMessage))
    text = next((str(message.text) for message in spoken if message.text), "")
    return [Text(text)] if text else []


def output_fields(state: Any, names: Sequence[str] | str) -> Any:
    """Return what a graph's output holds beside the conversation, as JSON; what is empty is left out.

    `names` are the graph's output channels. A graph whose state is one value has that as its output.
    """
    if not isinstance(state, Mapping):
        return None if messages_of(state) or state in (None, "", [], ()) else jsonable(state)
    wanted = [names] if isinstance(names, str) else names
    fields = {name: jsonable(state[name]) for name in wanted if name in state and name != "messages"}
    return {name: value for name, value in fields.items() if value not in (None, "", [], {})}


def jsonable(value: Any) -> Any:
    """Return the value as JSON: models and dataclasses as objects, bytes as base64, the rest by its text."""
    try:
        return to_jsonable_python(value, bytes_mode="base64", fallback=str)
    except (ValueError, TypeError, RecursionError):  # it holds itself, or a key that JSON cannot have
        return str(value)


def _since_the_last_human(messages: Sequence[BaseMessage]) -> Iterator[BaseMessage]:
    """The messages from the last one backwards."""
    for message in reversed(messages):
        if isinstance(message, HumanMessage):
            return
        yield message


def _parts_of(*messages: BaseMessage) -> list[Part]:
    """One part for the text of all the messages, and one for each of their files."""
    text = "\n\n".join(text for message in messages if (text := str(message.text)))
    files = [file for message in messages for file in _files_of(message)]
    return [*([Text(text)] if text else []), *files]


def _files_of(message: BaseMessage) -> Iterator[File]:
    if isinstance(message.content, str):
        return
    for block in message.content_blocks:
        if block["type"] in _FILE_BLOCKS and (file := _file_of(dict(block))) is not None:
            yield file


def _file_of(block: Mapping[str, Any]) -> File | None:
    """The file in one of LangChain's standard blocks; `None` where there are neither bytes nor a URL, but, for
    example, the id of a file that only the model's provider knows."""
    extras = block.get("extras") or {}
    name = str(extras.get("filename") or extras.get("name") or block.get("title") or "")
    media_type = str(block.get("mime_type") or "")
    url = str(block.get("url") or "")
    encoded = block.get("base64") or (url if url.startswith("data:") else "")
    if encoded:
        try:
            content = read_base64(str(encoded))
        except BadBase64 as error:
            logger.warning("file left out of an answer: its base64 %s", error)
            return None
        return File(name, media_type or content.media_type or _DEFAULT_TYPE, content=content.decode())
    if url:
        return File(name, media_type or _DEFAULT_TYPE, url=url)
    if block["type"] == "text-plain" and block.get("text"):
        return File(name, media_type or "text/plain", content=str(block["text"]).encode())
    return None


_DEFAULT_TYPE = "application/octet-stream"
