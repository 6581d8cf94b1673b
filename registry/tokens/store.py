"""The rows behind tokens. A `scope` is the tenant whose tokens are there for the caller; None: all tenants'."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries
from registry.access import Role
from registry.checks import is_id
from registry.errors import NotFound
from registry.tokens.models import Token

sql = Queries("registry.tokens")


@dataclass(frozen=True)
class FoundToken:
    """A token as far as it matters to a request that carries it."""

    token_id: str
    tenant_id: str
    role: Role
    token_hash: bytes
    revoked: bool
    expired: bool
    tenant_status: str
    use_is_worth_noting: bool


async def find_tokens(conn: Connection, token_hashes: Sequence[bytes]) -> list[FoundToken | None]:
    """The token of each hash; None where there is none."""
    rows = await conn.execute(sql.find_tokens, {"token_hashes": list(set(token_hashes))})
    found = {token.token_hash: token for token in [FoundToken(**row) for row in await rows.fetchall()]}
    return [found.get(token_hash) for token_hash in token_hashes]


async def note_use(conn: Connection, token_id: str) -> None:
    await conn.execute(sql.note_use, {"token_id": token_id})


async def lock_against_new(conn: Connection) -> None:
    """Nobody else makes a token until this transaction ends."""
    await conn.execute(sql.lock_against_new)


async def is_any_there(conn: Connection) -> bool:
    """Whether there is a token of anybody's, be it one that is revoked."""
    row = await (await conn.execute(sql.is_any_there)).fetchone()
    assert row is not None
    return bool(row["found"])


async def create_token(
    conn: Connection,
    *,
    token_id: str,
    tenant_id: str,
    role: Role,
    name: str,
    token_hash: bytes,
    expires_in: timedelta | None,
) -> Token:
    """Raises `NotFound` when there is no such tenant."""
    given = {
        "token_id": token_id,
        "tenant_id": tenant_id,
        "role": role,
        "name": name,
        "token_hash": token_hash,
        "expires_in": expires_in,
    }
    if (await conn.execute(sql.create_token, given)).rowcount == 0:
        raise NotFound(f"tenant {tenant_id}")
    return await get_token(conn, tenant_id, token_id)


async def get_token(conn: Connection, scope: str | None, token_id: str) -> Token:
    """Raises `NotFound`."""
    given = {"scope": scope, "token_id": token_id}
    row = await (await conn.execute(sql.get_token, given)).fetchone() if is_id(token_id) else None
    if row is None:
        raise NotFound(f"token {token_id}")
    return Token(**row)


async def list_tokens(conn: Connection, scope: str | None, limit: int | None, offset: int) -> list[Token]:
    """In the order in which they were made; all of them without a `limit`."""
    given = {"scope": scope, "limit": limit, "offset": offset}
    return [Token(**row) for row in await (await conn.execute(sql.list_tokens, given)).fetchall()]


async def count_tokens(conn: Connection, scope: str | None) -> int:
    row = await (await conn.execute(sql.count_tokens, {"scope": scope})).fetchone()
    assert row is not None
    return int(row["total"])


async def revoke_token(conn: Connection, token_id: str) -> bool:
    """False: it was revoked before."""
    return (await conn.execute(sql.revoke_token, {"token_id": token_id})).rowcount == 1
