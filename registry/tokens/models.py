"""Tokens as they are stored, shown and asked for."""

import re
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, ConfigDict, WithJsonSchema
from typing_extensions import TypedDict

from registry.access import Role
from registry.checks import Body, Limit, Name, Offset, Query
from registry.tenants.models import TenantId
from registry.times import rfc3339

Status = Literal["active", "expired", "revoked"]

_LONGEST_LIFE = timedelta(days=36_500)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"([0-9]{1,12})([smhd])")


@dataclass(frozen=True)
class Token:
    """A token, without what would let anybody use it."""

    token_id: str
    tenant_id: str
    role: Role
    name: str
    status: Status
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None
    last_used_at: datetime | None
    """To the minute."""


@dataclass(frozen=True)
class CreatedToken:
    """A new token, and the only time that its plaintext is there to be seen."""

    token: Token
    plaintext: str = field(repr=False)


@dataclass(frozen=True)
class TokenPage:
    """Some of the tokens there are; `total` is how many there are."""

    tokens: list[Token]
    total: int


class ShownToken(TypedDict):
    token_id: str
    tenant_id: str
    role: Role
    name: str
    status: Status
    created_at: str
    expires_at: str | None
    revoked_at: str | None
    last_used_at: str | None


def show_token(token: Token) -> ShownToken:
    """A token as it stands in answers."""
    return ShownToken(
        token_id=token.token_id,
        tenant_id=token.tenant_id,
        role=token.role,
        name=token.name,
        status=token.status,
        created_at=rfc3339(token.created_at),
        expires_at=rfc3339(token.expires_at),
        revoked_at=rfc3339(token.revoked_at),
        last_used_at=rfc3339(token.last_used_at),
    )


def parse_lifetime(value: object) -> timedelta | None:
    """`30d`, `12h`, `45m`, `3600s`, or a number of seconds; None is for ever. Raises `ValueError`."""
    match value:
        case None:
            return None
        case int() if not isinstance(value, bool):
            seconds = value
        case str() if found := _DURATION.fullmatch(value):
            seconds = int(found[1]) * _SECONDS[found[2]]
        case _:
            raise ValueError("accepted: a text such as 30d, 12h, 45m or 3600s, a number of seconds, or null")
    if not 1 <= seconds <= _LONGEST_LIFE.total_seconds():
        raise ValueError(f"accepted: one second to {_LONGEST_LIFE.days} days")
    return timedelta(seconds=seconds)


Lifetime = Annotated[
    timedelta | None,
    BeforeValidator(parse_lifetime),
    WithJsonSchema(
        {
            "anyOf": [
                {
                    "type": "string",
                    "pattern": f"^{_DURATION.pattern}$",
                    "examples": ["30d", "12h", "45m", "3600s"],
                },
                {"type": "integer", "minimum": 1, "maximum": int(_LONGEST_LIFE.total_seconds())},
                {"type": "null"},
            ],
            "description": "how long the token lets anybody in, from now on; null: until it is revoked",
        }
    ),
]


class NewToken(Body):
    """What a token is made from. Unknown fields are refused: with a misspelt `tenant` or `expires` the token would
    let in more than was meant."""

    model_config = ConfigDict(extra="forbid")

    role: Role
    tenant: TenantId | None = None
    name: Name = ""
    expires: Lifetime = None


class TokensQuery(Query):
    tenant: TenantId | None = None
    limit: Limit = 100
    offset: Offset = 0
