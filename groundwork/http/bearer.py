"""The one reader of bearer tokens, for every face of both services."""

import re

from starlette.types import Scope

_BEARER = re.compile(rb"bearer +([^\s].*?) *", re.IGNORECASE)


def bearer_token(scope: Scope) -> bytes | None:
    """Return the token in the `Authorization` header; None when there is none, or anything but exactly one.

    Which of two headers counts would be for each proxy on the way to decide, so two are none.

    Bytes, as they arrived: a token need not be Latin-1, and `hmac.compare_digest` refuses such text.
    """
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    match = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
    return match[1] if match else None
