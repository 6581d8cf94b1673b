"""Errors and addresses as they may be shown: without what the project keeps secret."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit, urlunsplit

from groundwork.telemetry.logs import HIDDEN, SHORTEST_SECRET

_LONGEST_LINE = 300
_URL = re.compile(r"https?://[^\s'\"<>()]+")


class Mask:
    """Replaces the given secrets, and credentials and queries of URLs, in any text."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = sorted({s for s in secrets if len(s) >= SHORTEST_SECRET}, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        text = _URL.sub(lambda match: mask_url(match[0]), text)
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text

    def error(self, error: BaseException) -> str:
        """What went wrong, as one line that can be shown to anybody."""
        line = " ".join(self(describe(error)).split())
        return line if len(line) <= _LONGEST_LINE else f"{line[: _LONGEST_LINE - 1]}…"


def mask_url(url: str) -> str:
    """The URL without user, password and query values."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return HIDDEN
    credentials = f"{HIDDEN}@" if "@" in parts.netloc else ""
    return urlunsplit((parts.scheme, credentials + host, parts.path, HIDDEN if parts.query else "", ""))


def describe(error: BaseException) -> str:
    """The first cause inside an exception group, in words."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, FileNotFoundError):
        return f"there is no such command or directory: {error.filename}"
    if isinstance(error, TimeoutError):
        return str(error) or "no answer in time"
    return str(error) or type(error).__name__
