"""What has to be so for a change to be made: `If-Match` and `If-None-Match`, by which a lost update is noticed."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from starlette.requests import Request

from registry.components.models import ComponentKey
from registry.errors import Conflict, InvalidRequest

_VERSION = re.compile(r'"([1-9][0-9]{0,9})"|([1-9][0-9]{0,9})')

HEADERS: list[dict[str, Any]] = [
    {
        "name": "If-Match",
        "in": "header",
        "required": False,
        "description": "Only if this is the version there is; `*`: if there is any.",
        "schema": {"type": "string", "pattern": r'^(\*|"[1-9][0-9]{0,8}"|[1-9][0-9]{0,8})$'},
    }
]
HEADERS_OF_PUT: list[dict[str, Any]] = [
    *HEADERS,
    {
        "name": "If-None-Match",
        "in": "header",
        "required": False,
        "description": "`*`: only if it is not there.",
        "schema": {"type": "string", "pattern": r"^\*$"},
    },
]


@dataclass(frozen=True)
class Precondition:
    """`match`: the version that has to be there, or any; `absent`: none may be there."""

    match: int | Literal["*"] | None = None
    absent: bool = False

    def check(self, key: ComponentKey, current: int | None) -> None:
        """`current` is None where there is none. Raises `Conflict`, naming what is there."""
        if self.match is not None and current is None:
            raise Conflict(f"there is no {key}")
        if self.match not in (None, "*", current):
            raise Conflict(f"{key} is at version {current}, and not at {self.match}")
        if self.absent and current is not None:
            raise Conflict(f"{key} is there already, at version {current}")


async def precondition_of(request: Request) -> Precondition:
    """Raises `InvalidRequest`."""
    match = _only(request.headers.getlist("if-match"), "If-Match")
    none_match = _only(request.headers.getlist("if-none-match"), "If-None-Match")
    if none_match not in (None, "*"):
        raise InvalidRequest("If-None-Match: accepted is *")
    return Precondition(_read_match(match), absent=none_match is not None)


def _read_match(text: str | None) -> int | Literal["*"] | None:
    if text is None or text == "*":
        return text if text is None else "*"
    found = _VERSION.fullmatch(text)
    if found is None:
        raise InvalidRequest('If-Match: accepted is one version, such as "3", or *')
    return int(found[1] or found[2])


def _only(given: Sequence[str], name: str) -> str | None:
    if len(given) > 1:
        raise InvalidRequest(f"{name} is given more than once")
    return given[0].strip() if given else None
