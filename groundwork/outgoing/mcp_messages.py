"""Messages of MCP servers, read as they are meant where that can be told, and refused with a reason where not."""

import json
import re
from typing import Any

from mcp.types import ServerNotification
from pydantic import ValidationError

NOT_SENT = -32_901  # the request was not sent, or not to a session that exists: nothing happened
REFUSED = -32_902  # the server answered that it will not: nothing happened, and asking again will not help
LOST = -32_903  # the connection failed with the request on its way: what happened is not known
UNREADABLE = -32_904  # the exchange is over and brought no answer that can be read: what happened is not known

INTERNAL_ERROR = -32_603

CallId = int | str

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_ID = re.compile(r'"id"\s*:\s*(?:(\d{1,18})|"([^"\\]{1,200})")')
_LONGEST_REASON = 10_000
_ENDS = 400  # where the id of a broken message is looked for: so far from either end


class Unreadable(Exception):
    """A message that cannot be used; the text says why."""


def messages_in(raw: bytes) -> list[dict[str, Any]]:
    """Return the messages, of which a batch has several. Half a character becomes U+FFFD and NaN null.

    Raises `Unreadable`.
    """
    text = raw.decode("utf-8-sig", "replace")
    try:
        read = json.loads(text, parse_constant=lambda _: None)
    except (ValueError, RecursionError):
        raise Unreadable("it is not JSON" if text.strip() else "it is empty") from None
    if "\\u" in text:
        read = _with_whole_characters(read)
    messages = read if isinstance(read, list) else [read]
    if not messages or not all(isinstance(message, dict) for message in messages):
        raise Unreadable("it is JSON, but no JSON-RPC message")
    return messages


def is_answer(message: dict[str, Any]) -> bool:
    return "method" not in message


def is_known(message: dict[str, Any]) -> bool:
    """Return whether something that is no answer can be read: a request, or a notification of MCP's."""
    if not isinstance(message["method"], str):
        return False
    if "id" in message:
        return isinstance(message["id"], int | str)
    try:
        ServerNotification.model_validate({key: message[key] for key in ("method", "params") if key in message})
    except ValidationError:
        return False
    return True


def answer_of(message: dict[str, Any], call: CallId) -> dict[str, Any]:
    """Return the answer to the call in the form that JSON-RPC gives it. Raises `Unreadable`."""
    result, error, given = message.get("result"), message.get("error"), message.get("id")
    # A server that could not read a request knows no id; as text an id is still that id.
    if str(given) != str(call) and not (given is None and error is not None):
        raise Unreadable(f"it has the id {json.dumps(given)[:100]}, and the question had {json.dumps(call)}")
    if error is not None and result is not None:
        raise Unreadable("it has both a result and an error")
    if error is not None:
        return {"jsonrpc": "2.0", "id": call, "error": _error_of(error)}
    if not isinstance(result, dict):
        raise Unreadable(f"its result is {_named(result)} instead of an object")
    return {"jsonrpc": "2.0", "id": call, "result": result}


def error_answer(call: CallId, code: int, message: str) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": call, "error": {"code": code, "message": message}}


def unreadable(call: CallId, reason: object) -> dict[str, Any]:
    return error_answer(call, UNREADABLE, f"the answer cannot be read: {reason}")


def ids_in_broken(line: bytes) -> list[str] | None:
    """Return what may be the id of a message that cannot be read; `None` if it is none that began as an answer."""
    head, tail = line[:_ENDS], line[-_ENDS:]
    if not head.lstrip().startswith(b"{") or b'"jsonrpc"' not in head + tail or b'"method"' in head:
        return None
    matches = [match for end in (head, tail) for match in _ID.finditer(end.decode("utf-8", "replace"))]
    return [match[1] or match[2] for match in matches]


def _error_of(error: Any) -> dict[str, Any]:
    given = error if isinstance(error, dict) else {"message": error}
    code, message = given.get("code"), given.get("message")
    usable = isinstance(code, int) and not isinstance(code, bool)
    text = message if isinstance(message, str) else json.dumps(error)
    if (data := given.get("data")) is not None:
        text = f"{text} ({data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)})"
    return {"code": code if usable else INTERNAL_ERROR, "message": text[:_LONGEST_REASON]}


def _named(value: Any) -> str:
    return {dict: "an object", list: "a list", str: "a text", type(None): "null"}.get(
        type(value), json.dumps(value)
    )


def _with_whole_characters(value: Any) -> Any:
    if isinstance(value, str):
        return _LONE_SURROGATE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_with_whole_characters(item) for item in value]
    if isinstance(value, dict):
        return {_with_whole_characters(key): _with_whole_characters(item) for key, item in value.items()}
    return value
