"""The header `Idempotency-Key`, by which a caller names what it may send again."""

from collections.abc import Sequence

NAME = "Idempotency-Key"
LONGEST = 255

PARAMETER = {
    "name": NAME,
    "in": "header",
    "required": False,
    "description": "Sent again with the same body, it is not done again, and has the first answer.",
    "schema": {"type": "string", "pattern": f"^[!-~]{{1,{LONGEST}}}$"},
}
"""The header, for OpenAPI."""


class BadIdempotencyKey(ValueError):
    """The header cannot be used; the text names it and says what is accepted."""


def read_idempotency_key(values: Sequence[str]) -> str | None:
    """Return the key, of all headers of the name. Raises `BadIdempotencyKey`."""
    if not values:
        return None
    if len(values) > 1:
        raise BadIdempotencyKey(f"{NAME} is given more than once")
    key = values[0]
    if not 1 <= len(key) <= LONGEST or not all("!" <= character <= "~" for character in key):
        raise BadIdempotencyKey(f"{NAME} must be 1 to {LONGEST} visible characters of ASCII, without blanks")
    return key
