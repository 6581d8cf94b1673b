"""Numbers as they were sent, and base64 in every variant, past a wire format that has neither.

Protobuf keeps JSON's numbers as doubles: 12 becomes 12.0, and 2^53 + 1 becomes 2^53. So an integer is put into a
text that begins with a mark, on its way in by `JsonGuard` and on its way out by `convert`, and leaves as the
integer that it is. A caller cannot write the mark: it is made of characters that Unicode keeps for a program's own
use, and a body that has it is refused.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from groundwork.http.base64_text import BadBase64, read_base64
from groundwork.http.json_body import MAX_INT_DIGITS

MARK = "\ufdd0\uffff#"
_TOO_LARGE = 10**MAX_INT_DIGITS
"""Such integers become text: they are refused where we read them, too."""

_MARK_BYTES = MARK.encode()
_MARK_ESCAPED = b"\\ufdd0\\uffff#"
_MARKED = re.compile(rb'"(?:' + re.escape(_MARK_BYTES) + b"|" + re.escape(_MARK_ESCAPED) + rb')(-?[0-9]+)"')


def marked(number: int) -> str:
    """Return the text that an integer is carried in. One that is too large leaves only its size."""
    if abs(number) < _TOO_LARGE:
        return f"{MARK}{number}"
    return f"an integer of {number.bit_length()} bits"


def unmarked(value: Any) -> Any:
    """Return JSON as protobuf gives it back with the numbers that were sent."""
    if isinstance(value, str):
        return int(value[len(MARK) :]) if value.startswith(MARK) else value
    if isinstance(value, dict):
        return {key: unmarked(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unmarked(item) for item in value]
    return value


def write_numbers(body: bytes) -> bytes:
    """Return JSON that is about to leave with its marked numbers as numbers."""
    if _MARK_BYTES in body or _MARK_ESCAPED in body:
        return _MARKED.sub(rb"\1", body)
    return body


class BadPart(Exception):
    """A part of a message cannot be taken as it is; the error names it."""


def has_mark(body: bytes, value: Any) -> bool:
    """Whether any text in the JSON `value`, which was read from `body`, holds the mark."""
    might = _MARK_BYTES[:3] in body or b"\\ufdd0" in body.lower()
    return might and MARK in json.dumps(value, ensure_ascii=False)


def carry(call: Any) -> bool:
    """Mark the numbers and straighten the base64 of the message in a call, in place. Return whether that changed
    anything. Raises `BadPart`."""
    params = call.get("params", call) if isinstance(call, dict) else None
    if not isinstance(params, dict):
        return False
    message = params.get("message")
    changed = _mark(params, "metadata")
    if not isinstance(message, dict):
        return changed
    changed |= _mark(message, "metadata")
    for name, part in _parts(message):
        changed |= _mark(part, "data") | _mark(part, "metadata")
        changed |= _straighten(part, "raw", ("mediaType", "media_type"), f"{name}.raw")
        if isinstance(file := part.get("file"), dict):
            changed |= _straighten(file, "bytes", ("mimeType",), f"{name}.file.bytes")
    return changed


def _parts(message: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    parts = message.get("parts")
    for number, part in enumerate(parts if isinstance(parts, list) else []):
        if isinstance(part, dict):
            yield f"message.parts[{number}]", part


def _mark(holder: dict[str, Any], key: str) -> bool:
    if key not in holder:
        return False
    marks = _Marks()
    holder[key] = marks.made_in(holder[key])
    return marks.any


class _Marks:
    """Marks the numbers of a value; `any` says whether there was one to mark."""

    def __init__(self) -> None:
        self.any = False

    def made_in(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.made_in(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.made_in(item) for item in value]
        if isinstance(value, bool) or not isinstance(value, int):
            return value
        self.any = True
        return marked(value)


def _straighten(holder: dict[str, Any], key: str, type_keys: tuple[str, ...], name: str) -> bool:
    given = holder.get(key)
    if not isinstance(given, str):
        return False
    try:
        read = read_base64(given)
    except BadBase64 as error:
        raise BadPart(f"{name} {error}; it must be base64") from None
    holder[key] = read.text
    if read.media_type and not any(holder.get(type_key) for type_key in type_keys):
        holder[type_keys[0]] = read.media_type
    return read.text != given


class ExactNumbers:
    """Writes the numbers of answers and streams as they are."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        held: Message | None = None

        async def send_written(message: Message) -> None:
            nonlocal held
            if message["type"] == "http.response.start" and "content-length" in Headers(raw=message["headers"]):
                held = message  # until it is known how long the body is once it is written
                return
            if message["type"] == "http.response.body":
                body = write_numbers(message.get("body", b""))
                if held is not None:
                    MutableHeaders(scope=held)["content-length"] = str(len(body))
                    await send(held)
                    held = None
                message = {**message, "body": body}
            await send(message)

        await self._app(scope, receive, send_written)
