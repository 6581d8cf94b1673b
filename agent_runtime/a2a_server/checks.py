"""What a caller may send: refused here, it never reaches a turn or a table."""

from a2a.types import Message, Role
from a2a.utils.errors import InvalidParamsError

from agent_runtime.threads.ids import LONGEST_ID, is_thread_id


def is_storable(identifier: str) -> bool:
    """Whether a message, task or config of this id can exist; what holds for threads holds for them."""
    return is_thread_id(identifier)


def check_id(field: str, value: str) -> None:
    """Raises `InvalidParamsError` unless `value` can be an id."""
    if not is_storable(value):
        raise InvalidParamsError(f"{field} must have 1 to {LONGEST_ID} characters and no control characters")


def check_message(message: Message) -> None:
    """Raises `InvalidParamsError` when the message says something that no turn could begin with."""
    check_id("message.messageId", message.message_id)
    if message.context_id:
        check_id("message.contextId", message.context_id)
    if message.role != Role.ROLE_USER:
        raise InvalidParamsError("message.role must be ROLE_USER: only the agent speaks as ROLE_AGENT")
    for number, part in enumerate(message.parts):
        if part.WhichOneof("content") is None:
            raise InvalidParamsError(f"message.parts[{number}] has no content: give it text, raw, url or data")
