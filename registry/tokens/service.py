"""Tokens: how they are made, what they let in, and their end."""

import hashlib
import hmac
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

from groundwork.postgres.pool import Connection, Pool, connection, run_repeatable, transaction
from registry.access import COMMAND_LINE, Principal, Role
from registry.audit.store import append_entry
from registry.batches import Batches
from registry.errors import Forbidden, RegistryError, Unauthenticated
from registry.plaintext_tokens import make_plaintext
from registry.tenants.store import get_tenant
from registry.times import rfc3339
from registry.tokens import store
from registry.tokens.models import CreatedToken, Token, TokenPage

PAUSE_SECONDS = 0.005
"""By which requests that come in numbers are late, so that their tokens are looked up together."""


@dataclass(frozen=True)
class Bearer:
    """Whose token it is, and why it lets nobody in, if it does not."""

    principal: Principal
    refusal: RegistryError | None


class Tokens:
    """The tokens of all tenants. The principals here are operators: one of the platform has to do with every
    token, one of another tenant with its own, and the rest is not found."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._found = Batches(self._find, pause=PAUSE_SECONDS)

    async def identify(self, token: bytes) -> Bearer:
        """Raises `Unauthenticated` for a token that was never given out."""
        token_hash = _hash(token)
        found = await self._found.ask(token_hash)
        if found is None or not hmac.compare_digest(found.token_hash, token_hash):
            raise Unauthenticated
        refusal = refusal_of(found)
        if refusal is None and found.use_is_worth_noting:
            async with connection(self._pool) as conn:
                await store.note_use(conn, found.token_id)
        return Bearer(Principal(found.tenant_id, found.role, found.token_id), refusal)

    async def _find(self, token_hashes: Sequence[bytes]) -> Sequence[store.FoundToken | None]:
        return await run_repeatable(self._pool, lambda conn: store.find_tokens(conn, token_hashes))

    async def create_token(
        self,
        principal: Principal,
        *,
        role: Role,
        tenant_id: str | None = None,
        name: str = "",
        expires_in: timedelta | None = None,
    ) -> CreatedToken:
        """Makes a token of the principal's own tenant, or of `tenant_id`. Raises `Forbidden` and `NotFound`."""
        owner = principal.tenant_id if tenant_id is None else tenant_id
        principal.require_operator_of(owner)
        async with transaction(self._pool) as conn:
            return await _create_token(conn, principal, owner, role, name, expires_in)

    async def create_first_token(self) -> CreatedToken | None:
        """An operator's token of the platform, when there is no token at all; else None. Of several processes that
        ask at once, one gets it."""
        async with transaction(self._pool) as conn:
            await store.lock_against_new(conn)
            if await store.is_any_there(conn):
                return None
            return await _create_token(conn, COMMAND_LINE, COMMAND_LINE.tenant_id, "operator", "first start", None)

    async def is_any_there(self) -> bool:
        """Whether a token was ever made."""
        async with connection(self._pool) as conn:
            return await store.is_any_there(conn)

    async def list_tokens(
        self, principal: Principal, tenant_id: str | None = None, limit: int | None = None, offset: int = 0
    ) -> TokenPage:
        """The tokens that the principal may see, or those of `tenant_id`. Raises `NotFound`."""
        async with connection(self._pool) as conn:
            if tenant_id is not None:
                await get_tenant(conn, principal.scope, tenant_id)
            scope = tenant_id or principal.scope
            tokens = await store.list_tokens(conn, scope, limit, offset)
            return TokenPage(tokens, await store.count_tokens(conn, scope))

    async def get_token(self, principal: Principal, token_id: str) -> Token:
        """Raises `NotFound`."""
        async with connection(self._pool) as conn:
            return await store.get_token(conn, principal.scope, token_id)

    async def revoke_token(self, principal: Principal, token_id: str) -> None:
        """The token lets nobody in any more, from the next request on. Raises `NotFound`."""
        async with transaction(self._pool) as conn:
            token = await store.get_token(conn, principal.scope, token_id)
            changed = await store.revoke_token(conn, token_id)
            await _append(conn, principal, "token_revoked", token, was_revoked_before=not changed)


async def _create_token(
    conn: Connection, principal: Principal, tenant_id: str, role: Role, name: str, expires_in: timedelta | None
) -> CreatedToken:
    plaintext = make_plaintext()
    token = await store.create_token(
        conn,
        token_id=f"tok_{secrets.token_hex(8)}",
        tenant_id=tenant_id,
        role=role,
        name=name,
        token_hash=_hash(plaintext.encode()),
        expires_in=expires_in,
    )
    await _append(conn, principal, "token_created", token, expires_at=rfc3339(token.expires_at))
    return CreatedToken(token, plaintext)


async def _append(conn: Connection, principal: Principal, event_type: str, token: Token, **detail: Any) -> None:
    """In the log of the token's tenant, whoever's operator it was."""
    await append_entry(
        conn,
        principal,
        event_type,
        f"token:{token.token_id}",
        tenant_id=token.tenant_id,
        role=token.role,
        name=token.name,
        **detail,
    )


def _hash(token: bytes) -> bytes:
    return hashlib.sha256(token).digest()


class Admission(Protocol):
    """What decides whether a token lets anybody in."""

    @property
    def revoked(self) -> bool: ...
    @property
    def expired(self) -> bool: ...
    @property
    def tenant_id(self) -> str: ...
    @property
    def tenant_status(self) -> str: ...


def refusal_of(found: Admission) -> RegistryError | None:
    """Return why the token lets nobody in, if it does not."""
    if found.revoked or found.expired:
        return Unauthenticated()
    if found.tenant_status != "active":
        return Forbidden(f"tenant {found.tenant_id} is {found.tenant_status}")
    return None
