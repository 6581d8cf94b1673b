"""The keys that the registry signs its calls of agents with."""

import base64
import secrets
from collections.abc import Mapping
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from typing_extensions import TypedDict

from groundwork.http.admin_calls import ALGORITHM, TOKEN_SECONDS
from groundwork.postgres.pool import Connection, Pool, connection, transaction
from registry.access import Principal
from registry.audit.store import append_entry
from registry.keys import store
from registry.keys.store import SigningKey


class Jwk(TypedDict):
    kty: str
    crv: str
    x: str
    kid: str
    alg: str
    use: str


class Keys:
    """One key signs, on all processes of the registry; the first token makes the first key."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def sign(self, claims: Mapping[str, Any]) -> str:
        """Return a JWT with these claims that runs out in a minute."""
        async with connection(self._pool) as conn:
            key = await store.find_signing_key(conn) or await _make_key(conn)
        issued_at = int(key.now)
        timed = {**claims, "iat": issued_at, "exp": issued_at + TOKEN_SECONDS, "jti": secrets.token_urlsafe(12)}
        private_key = Ed25519PrivateKey.from_private_bytes(key.private_key)
        return jwt.encode(timed, private_key, algorithm=ALGORITHM, headers={"kid": key.key_id})

    async def list_public(self) -> list[Jwk]:
        """Return the keys that tokens may be signed with, the newest first."""
        async with connection(self._pool) as conn:
            return [_describe(key) for key in await store.list_public_keys(conn)]

    async def rotate(self, principal: Principal) -> str:
        """Sign with a new key from now on, and return its id; the private half of the former one is gone."""
        async with transaction(self._pool) as conn:
            await store.lock_keys(conn)
            await store.delete_retired_keys(conn)
            await store.retire_signing_key(conn)
            key = await _make_key(conn)
            await append_entry(conn, principal, "registry_key_rotated", f"key:{key.key_id}")
        return key.key_id


async def _make_key(conn: Connection) -> SigningKey:
    """Return the key that signs, which is a new one unless somebody else has just made one."""
    private_key = Ed25519PrivateKey.generate()
    public_bytes = private_key.public_key().public_bytes_raw()
    await store.put_signing_key(conn, secrets.token_urlsafe(9), public_bytes, private_key.private_bytes_raw())
    key = await store.find_signing_key(conn)
    assert key is not None
    return key


def _describe(key: store.PublicKey) -> Jwk:
    x = base64.urlsafe_b64encode(key.public_key).decode().rstrip("=")
    return {"kty": "OKP", "crv": "Ed25519", "x": x, "kid": key.key_id, "alg": ALGORITHM, "use": "sig"}
