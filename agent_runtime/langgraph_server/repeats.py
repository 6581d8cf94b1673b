"""How LangGraph's clients name the runs that they may ask for again."""

import hashlib
import json

from pydantic import BaseModel
from starlette.requests import Request

from agent_runtime.errors import InvalidValue
from agent_runtime.turns.once import MessageKey
from groundwork.http.idempotency import NAME, BadIdempotencyKey, read_idempotency_key


def key_of(request: Request, body: BaseModel, *, agent_id: str, caller: str, part: str = "") -> MessageKey | None:
    """Return the key of a run, if its caller has named one: of this caller and path alone. `part` tells apart what
    one request asks for. Raises `InvalidValue`."""
    try:
        named = read_idempotency_key(request.headers.getlist(NAME))
    except BadIdempotencyKey as error:
        raise InvalidValue(NAME, str(error)) from None
    if named is None:
        return None
    content = json.dumps(body.model_dump(mode="json"), sort_keys=True)
    digest = hashlib.sha256(content.encode()).digest()
    return MessageKey.of(digest, "header", agent_id, caller, request.url.path, named, part)
