"""Bytes that agents and workflows leave for each other, by their SHA-256."""

import hashlib
from dataclasses import dataclass

from groundwork.postgres.pool import Pool, connection, transaction
from groundwork.postgres.sql import Queries
from registry.access import Principal
from registry.audit.store import append_entry
from registry.errors import NotFound

sql = Queries("registry.artifacts")

MAX_BYTES = 8 * 1024 * 1024


@dataclass(frozen=True)
class Artifact:
    media_type: str
    content: bytes


class Artifacts:
    """The artifacts of all tenants. Raises `DatabaseUnavailable` everywhere."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(self, principal: Principal, media_type: str, content: bytes) -> str:
        """Keeps the bytes, once, and returns their hash in hexadecimal digits."""
        digest = hashlib.sha256(content)
        given = {"tenant_id": principal.tenant_id, "media_type": media_type, "content": content}
        async with transaction(self._pool) as conn:
            await conn.execute(sql.put_artifact, given | {"hash": digest.digest()})
            subject = f"artifact:{digest.hexdigest()}"
            await append_entry(conn, principal, "artifact_stored", subject, size=len(content))
        return digest.hexdigest()

    async def get(self, principal: Principal, digest: str) -> Artifact:
        """Raises `NotFound`."""
        try:
            given = {"tenant_id": principal.tenant_id, "hash": bytes.fromhex(digest)}
        except ValueError:
            raise NotFound(f"artifact {digest}") from None
        async with connection(self._pool) as conn:
            row = await (await conn.execute(sql.get_artifact, given)).fetchone()
        if row is None:
            raise NotFound(f"artifact {digest}")
        return Artifact(**row)
