"""A message as people outside are shown it."""

import base64
import math
from typing import Any

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    SystemMessage,
    ToolMessage,
)

_ROLES: dict[type[BaseMessage], str] = {
    AIMessage: "ai",
    SystemMessage: "system",
    ToolMessage: "tool",
    FunctionMessage: "tool",
}
_CHAT_ROLES = {"assistant": "ai", "ai": "ai", "system": "system", "developer": "system", "tool": "tool"}


def describe_message(message: BaseMessage) -> dict[str, Any]:
    """Role and content as JSON; `tool_calls`, `tool_call_id` and `name` only where the message has them.

    The role is `human`, `ai`, `system` or `tool`. A speaker of any other role is shown as `human`, with the
    role as the name unless there is one.
    """
    described = {"role": _role(message), "content": plain(message.content)}
    if isinstance(message, AIMessage) and message.tool_calls:
        described["tool_calls"] = plain(message.tool_calls)
    if isinstance(message, ToolMessage):
        described["tool_call_id"] = message.tool_call_id
    if name := message.name or _unusual_role(message):
        described["name"] = name
    return described


def _role(message: BaseMessage) -> str:
    if isinstance(message, ChatMessage):
        return _CHAT_ROLES.get(message.role, "human")
    return next((role for kind, role in _ROLES.items() if isinstance(message, kind)), "human")


def _unusual_role(message: BaseMessage) -> str | None:
    usual = {*_CHAT_ROLES, "user", "human"}
    return message.role if isinstance(message, ChatMessage) and message.role not in usual else None


def plain(value: Any) -> Any:
    """Return exactly what JSON can say; bytes in base64, the rest by its text."""
    match value:
        case float() if not math.isfinite(value):
            return str(value)
        case None | str() | bool() | int() | float():
            return value
        case dict():
            return {str(key): plain(item) for key, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [plain(item) for item in value]
        case bytes() | bytearray():
            return base64.b64encode(value).decode()
    return str(value)
