"""Base64 as people send it: any of its alphabets, with padding or without, in lines, in a `data:` URL."""

import base64
import re
from dataclasses import dataclass

_STANDARD = re.compile(r"[A-Za-z0-9+/]*={0,2}")
_DATA_URL = re.compile(r"data:([^,;]*)((?:;[^,;]*)*),", re.IGNORECASE)
_SPACE = re.compile(r"[ \t\r\n]+")
_TO_STANDARD = str.maketrans("-_", "+/")


class BadBase64(ValueError):
    """The text is not base64; the error says what is wrong with it."""


@dataclass(frozen=True)
class Base64:
    """Base64 in the standard alphabet, padded, and the media type that a `data:` URL gave with it."""

    text: str
    media_type: str = ""

    def decode(self) -> bytes:
        return base64.b64decode(self.text)


def read_base64(text: str) -> Base64:
    """Return what `text` encodes. Raises `BadBase64` rather than make other bytes of it."""
    media_type = ""
    if found := _DATA_URL.match(text):
        if not found[2].lower().endswith(";base64"):
            raise BadBase64("is in a data: URL that is not base64")
        text, media_type = text[found.end() :], found[1].strip()
    if len(text) % 4 or not _STANDARD.fullmatch(text):
        text = _padded(_SPACE.sub("", text).translate(_TO_STANDARD).rstrip("="))
    return Base64(text, media_type)


def _padded(text: str) -> str:
    if not _STANDARD.fullmatch(text):
        raise BadBase64("has characters that base64 does not have")
    if not text:
        raise BadBase64("has nothing but padding")
    if len(text) % 4 == 1:
        raise BadBase64("is cut off: no base64 has that length")
    return text + "=" * (-len(text) % 4)
