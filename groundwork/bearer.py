"""The bearer token of a request."""

import re

from starlette.requests import HTTPConnection

_BEARER = re.compile(rb"bearer +([^\s].*?) *", re.IGNORECASE)


def bearer_token(request: HTTPConnection) -> bytes | None:
    """The token in the `Authorization` header; None when there is no such header, or anything but exactly one.

    Bytes, as they arrived: a token need not be Latin-1, and `hmac.compare_digest` refuses such text.
    """
    given = [value for name, value in request.scope["headers"] if name == b"authorization"]
    match = _BEARER.fullmatch(given[0]) if len(given) == 1 else None
    return match[1] if match else None
