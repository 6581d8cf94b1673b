"""The state of a conversation that may become long."""

from collections.abc import Sequence
from operator import attrgetter
from typing import Annotated, Any, TypedDict

from langchain_core.messages import (
    AnyMessage,
    BaseMessage,
    BaseMessageChunk,
    RemoveMessage,
    convert_to_messages,
    message_chunk_to_message,
)
from langgraph.channels import DeltaChannel
from langgraph.graph.message import REMOVE_ALL_MESSAGES

_ID = attrgetter("id")

SNAPSHOT_EVERY = 1_000
"""How many steps that say something are stored as what they add, before the whole conversation is stored again."""


def merge_messages(state: Sequence[BaseMessage], writes: Sequence[Any]) -> list[BaseMessage]:
    """The messages after `writes`: one with a known id replaces, a `RemoveMessage` removes, the others follow.

    Like LangGraph's `add_messages`, for many writes at once. It makes no ids up, because it is called again with
    the same writes; LangGraph gives them to messages before it stores them.
    """
    said = _messages_in(writes)
    if _are_new(said, state):
        return [*state, *said]
    merged: dict[object, BaseMessage] = {message.id or object(): message for message in state}
    for message in said:
        if not isinstance(message, RemoveMessage):
            merged[message.id or object()] = message
        elif message.id == REMOVE_ALL_MESSAGES:
            merged.clear()
        else:
            merged.pop(message.id, None)
    return list(merged.values())


class Conversation(TypedDict):
    """What `MessagesState` is, stored by what each step adds instead of whole: a turn costs as much at the end of
    a long conversation as at its beginning.

    The messages that a node is given are those that the process keeps for the next turn: return what is new or
    changed, as always, and change nothing in place. Whoever reads the thread with LangGraph needs a graph whose
    messages are a `DeltaChannel`, too.
    """

    messages: Annotated[list[AnyMessage], DeltaChannel(merge_messages, snapshot_frequency=SNAPSHOT_EVERY)]


def _are_new(said: Sequence[BaseMessage], state: Sequence[BaseMessage]) -> bool:
    """Whether they only follow, as nearly always: that is found out quicker than all is put together anew."""
    ids = [message.id for message in said if message.id is not None]
    return (
        not any(isinstance(message, RemoveMessage) for message in said)
        and len(set(ids)) == len(ids)
        and set(ids).isdisjoint(map(_ID, state))
    )


def _messages_in(writes: Sequence[Any]) -> list[BaseMessage]:
    said = [one for write in writes for one in (write if isinstance(write, list) else [write])]
    return [
        message_chunk_to_message(message) if isinstance(message, BaseMessageChunk) else message
        for message in convert_to_messages(said)
    ]
