"""The rows of the audit log: they are added and read, and nothing else."""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries
from groundwork.telemetry.logs import request_id
from registry.access import Principal
from registry.audit.chain import Mark, StoredEntry, Totals
from registry.audit.models import AuditQuery, Entry, Page, RefusalKey
from registry.times import rfc3339

sql = Queries("registry.audit")

_BATCH = 2000


async def append_entry(
    conn: Connection,
    principal: Principal,
    event_type: str,
    subject: str,
    *,
    tenant_id: str | None = None,
    execution_id: str | None = None,
    **detail: Any,
) -> None:
    """Adds an entry about `subject`, such as `agent:research-agent`, to the log of the principal's tenant, or of
    `tenant_id`.

    To be called last in the transaction of what the entry is about: other writers of the tenant wait from here to
    the commit, so that the log has their order.
    """
    await conn.execute(
        sql.append_entry,
        {
            "tenant_id": tenant_id or principal.tenant_id,
            "event_type": event_type,
            "actor_type": principal.actor_type,
            "actor_id": principal.actor_id,
            "role": principal.role,
            "subject": subject,
            "execution_id": execution_id,
            "detail": Jsonb(detail),
            "request_id": request_id.get(),
        },
    )


async def note_refusal(conn: Connection, key: RefusalKey, principal: Principal, most: int) -> tuple[int, float]:
    """Counts one more refusal; returns the number of its entry in the log, which is more than `most` for one that
    is to have none, and for how many seconds the hour goes on."""
    given = {**key._asdict(), "actor_type": principal.actor_type, "role": principal.role, "most": most}
    row = await (await conn.execute(sql.note_refusal, given)).fetchone()
    assert row is not None
    return row["entries"], row["seconds_left"]


async def count_refusals(conn: Connection, key: RefusalKey, principal: Principal, count: int) -> None:
    """More of those that have no entry of their own."""
    given = {**key._asdict(), "actor_type": principal.actor_type, "role": principal.role, "count": count}
    await conn.execute(sql.count_refusals, given)


async def list_ended_refusals(conn: Connection, but: Collection[Any]) -> list[RefusalKey]:
    """Those whose hour is over, without `but`."""
    given = {
        "but_tenants": [tenant_id for tenant_id, _, _ in but],
        "but_actors": [actor_id for _, actor_id, _ in but],
        "but_kinds": [kind for _, _, kind in but],
    }
    rows = await (await conn.execute(sql.list_ended_refusals, given)).fetchall()
    return [RefusalKey(**row) for row in rows]


async def end_refusals(conn: Connection, key: RefusalKey) -> None:
    """Begins a new hour, when the last one is over: how many were only counted becomes an entry."""
    row = await (await conn.execute(sql.end_refusals, key._asdict())).fetchone()
    if row is None or not row["counted"]:
        return
    actor = Principal(key.tenant_id, row["role"], key.actor_id, row["actor_type"])
    await append_entry(
        conn,
        actor,
        "writes_refused",
        f"token:{key.actor_id}",
        kind=key.kind,
        count=row["counted"],
        since=rfc3339(row["began_at"]),
        until=rfc3339(row["last_at"]),
    )


async def list_entries(conn: Connection, tenant_id: str, query: AuditQuery) -> Page:
    """A page of the tenant's entries, the newest first.

    It takes as long in a long log as in a short one, but for a deep offset together with a filter, since the
    entries before the page are passed one by one.
    """
    given = {"tenant_id": tenant_id, **query.model_dump()}
    # Not prepared: for any values at all, PostgreSQL would not choose the index that is made for these.
    extent = await (await conn.execute(sql.find_extent, given, prepare=False)).fetchone()
    if extent is None:
        return Page([], 0, query.limit, query.offset)
    total = extent["total"]
    if query.execution_id is query.actor_id is query.event_type is None:
        # There are no gaps, so the page can be gone to.
        given |= {"last_sequence": extent["last_sequence"] - query.offset, "offset": 0}
    else:
        given |= {"last_sequence": extent["last_sequence"]}
    cursor = conn.cursor(row_factory=class_row(Entry))
    entries = await (await cursor.execute(sql.list_entries, given, prepare=False)).fetchall()
    return Page(entries, total, query.limit, query.offset)


async def list_entries_after(conn: Connection, tenant_id: str, after: int, limit: int) -> list[Entry]:
    """The next entries, the oldest first."""
    cursor = conn.cursor(row_factory=class_row(Entry))
    given = {"tenant_id": tenant_id, "after": after, "limit": limit}
    return await (await cursor.execute(sql.list_entries_after, given)).fetchall()


@asynccontextmanager
async def one_snapshot(conn: Connection) -> AsyncIterator[None]:
    """What is read in the block is as it was when it began, whatever is written meanwhile."""
    async with conn.transaction():
        await conn.execute(sql.use_one_snapshot)
        yield


async def list_heads(conn: Connection, tenant_id: str | None) -> Mapping[str, Mark]:
    """The end of the tenant's chain, or of every tenant's."""
    rows = await (await conn.execute(sql.list_heads, {"tenant_id": tenant_id})).fetchall()
    return {row["tenant_id"]: Mark(row["sequence"], row["hash"]) for row in rows}


async def list_totals(conn: Connection, tenant_id: str | None) -> Mapping[str, Totals]:
    """Return how many entries are counted, by tenant."""
    totals: dict[str, Totals] = {}
    for row in await (await conn.execute(sql.list_totals, {"tenant_id": tenant_id})).fetchall():
        totals.setdefault(row["tenant_id"], Counter())[row["event_type"], row["actor_id"]] = row["entries"]
    return totals


async def list_tenants_with_tokens(conn: Connection, tenant_id: str | None) -> set[str]:
    rows = await (await conn.execute(sql.list_tenants_with_tokens, {"tenant_id": tenant_id})).fetchall()
    return {row["tenant_id"] for row in rows}


async def stream_entries(conn: Connection, tenant_id: str | None) -> AsyncIterator[StoredEntry]:
    """The entries of the tenant, or of all, chain by chain, without holding them all. Only in a transaction."""
    async with conn.cursor(name="audit_entries", row_factory=class_row(StoredEntry)) as cursor:
        cursor.itersize = _BATCH
        await cursor.execute(sql.stream_entries, {"tenant_id": tenant_id})
        async for entry in cursor:
            yield entry
