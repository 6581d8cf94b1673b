"""Tokens as whoever carries them knows them, which is as the database never does."""

import re
import secrets

_PREFIX = "jj_"
"""What tokens begin with, so that people and scanners recognise one that has leaked."""

_LOOKS_LIKE_ONE = re.compile(rf"{_PREFIX}[\w-]{{43}}", re.ASCII)


def make_plaintext() -> str:
    """A new token: 256 random bits."""
    return _PREFIX + secrets.token_urlsafe(32)


def hide_tokens(text: str) -> str:
    """The text without what looks like a token of ours: somebody may have put one where its id belongs."""
    return _LOOKS_LIKE_ONE.sub(f"{_PREFIX}***", text)
