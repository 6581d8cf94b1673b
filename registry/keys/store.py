"""The rows of keys."""

from dataclasses import dataclass

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries

sql = Queries("registry.keys")


@dataclass(frozen=True)
class SigningKey:
    key_id: str
    private_key: bytes
    now: float
    """The database's time, in seconds since 1970."""


@dataclass(frozen=True)
class PublicKey:
    key_id: str
    public_key: bytes


async def find_signing_key(conn: Connection) -> SigningKey | None:
    row = await (await conn.execute(sql.find_signing_key)).fetchone()
    return SigningKey(**row) if row else None


async def put_signing_key(conn: Connection, key_id: str, public_key: bytes, private_key: bytes) -> None:
    given = {"key_id": key_id, "public_key": public_key, "private_key": private_key}
    await conn.execute(sql.put_signing_key, given)


async def list_public_keys(conn: Connection) -> list[PublicKey]:
    rows = await (await conn.execute(sql.list_public_keys)).fetchall()
    return [PublicKey(**row) for row in rows]


async def lock_keys(conn: Connection) -> None:
    """Until the transaction ends, nobody else changes keys; they can be read."""
    await conn.execute(sql.lock_keys)


async def retire_signing_key(conn: Connection) -> None:
    await conn.execute(sql.retire_signing_key)


async def delete_retired_keys(conn: Connection) -> None:
    """Remove the keys that are not shown any more."""
    await conn.execute(sql.delete_retired_keys)
