"""The forms in which a conversation is stored."""

from enum import StrEnum


class Form(StrEnum):
    """How a conversation is stored, by the state that reads it."""

    MESSAGES = "MessagesState"
    CONVERSATION = "Conversation"
