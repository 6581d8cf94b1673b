"""The rows of requests that may be sent again."""

from uuid import UUID

from psycopg.types.json import Jsonb

from groundwork.postgres.pool import Connection, Pool, transaction
from groundwork.postgres.sql import Queries
from registry.errors import Conflict
from registry.repeats.models import Answer, RequestKey

sql = Queries("registry.repeats")

PRUNE_SECONDS = 3600.0
_PRUNE_BATCH = 1000


async def claim_request_key(conn: Connection, once: RequestKey | None) -> Answer | None:
    """Take the key, or return what the request was answered. To be called before anything is locked: a request
    that is being done under the key at this moment is waited for. Raises `Conflict` for another body."""
    if once is None:
        return None
    given = {"key": once.key, "digest": once.digest}
    while (await conn.execute(sql.claim_request_key, given)).rowcount == 0:
        row = await (await conn.execute(sql.find_request_key, given)).fetchone()
        if row is None:
            continue  # it was removed between the two looks
        if row["digest"] != once.digest:
            raise Conflict(
                "Idempotency-Key: another body was sent under this key; send the same one again, or take a key"
                " that is new"
            )
        answer: Answer = row["answer"]
        return answer
    return None


async def note_answer(conn: Connection, once: RequestKey | None, execution_id: UUID, answer: Answer) -> None:
    """Keep what the request is answered, in the transaction that does it and has taken the key."""
    if once is not None:
        given = {"key": once.key, "execution_id": execution_id, "answer": Jsonb(dict(answer))}
        await conn.execute(sql.note_answer, given)


async def delete_old_keys(pool: Pool, hours: int) -> None:
    """Remove the keys that are so old, some at a time."""
    removed = _PRUNE_BATCH
    while removed == _PRUNE_BATCH:
        async with transaction(pool) as conn:
            removed = (await conn.execute(sql.delete_old_keys, {"hours": hours, "limit": _PRUNE_BATCH})).rowcount
