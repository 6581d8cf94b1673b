"""How callers name the messages that they may send again."""

import hashlib
from collections.abc import Mapping

from a2a.types import SendMessageRequest
from a2a.utils.errors import InvalidParamsError

from agent_runtime.turns.once import MessageKey

HEADER = "idempotency-key"

_LONGEST_KEY = 255


def key_of(
    params: SendMessageRequest, headers: Mapping[str, str], *, agent_id: str, caller: str
) -> MessageKey | None:
    """Return the key of a message: its `Idempotency-Key`, or else its id and content, those of a caller who has
    a name, or of an anonymous one in the context or task that the message names. Raises `InvalidParamsError`."""
    if (named := headers.get(HEADER)) is not None:
        if not 1 <= len(named) <= _LONGEST_KEY or not all("!" <= character <= "~" for character in named):
            raise InvalidParamsError(
                f"Idempotency-Key must be 1 to {_LONGEST_KEY} visible characters of ASCII, without blanks"
            )
        return MessageKey.of(_digest(params), "header", agent_id, caller, "SendMessage", named)
    context = "" if caller else params.message.context_id or params.message.task_id
    if not caller and not context:
        return None
    digest = _digest(params)
    return MessageKey.of(digest, "message", agent_id, caller, context, params.message.message_id, digest.hex())


def _digest(params: SendMessageRequest) -> bytes:
    """Of what is to be done: how the caller wants to hear of it may change from one time to the next."""
    said = SendMessageRequest(message=params.message, metadata=params.metadata)
    return hashlib.sha256(said.SerializeToString(deterministic=True)).digest()
