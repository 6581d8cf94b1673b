"""How callers name the messages that they may send again."""

import hashlib
from collections.abc import Mapping

from a2a.types import SendMessageRequest
from a2a.utils.errors import InvalidParamsError

from agent_runtime.turns.once import MessageKey
from groundwork.http.idempotency import BadIdempotencyKey, read_idempotency_key

HEADER = "idempotency-key"


def key_of(
    params: SendMessageRequest, headers: Mapping[str, str], *, agent_id: str, caller: str
) -> MessageKey | None:
    """Return the key of a message: its `Idempotency-Key`, or else its id and content, those of a caller who has
    a name, or of an anonymous one in the context or task that the message names. Raises `InvalidParamsError`."""
    if (named := headers.get(HEADER)) is not None:
        try:
            read_idempotency_key([named])
        except BadIdempotencyKey as error:
            raise InvalidParamsError(str(error)) from None
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
