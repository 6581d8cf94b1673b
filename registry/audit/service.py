"""What can be asked of the audit log."""

import logging
import sys
from collections.abc import AsyncIterator, Callable, Sequence

import anyio

from groundwork.postgres.pool import Pool, connection
from groundwork.telemetry.logs import field_of
from registry.access import PLATFORM_TENANT
from registry.audit import store
from registry.audit.chain import ChainChecks, ChainReport, Mark
from registry.audit.models import AuditQuery, Entry, Page
from registry.audit.refusals import Refusals
from registry.errors import NotFound

logger = logging.getLogger(__name__)

_PROGRESS_EVERY = 1000

HEADS_SECONDS = 3600.0
"""How often the heads of the chains are logged."""

STREAM_BATCH = 1000


class Audit:
    """The audit log. Accepted writes are recorded by whoever makes them, in the same transaction."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self.refusals = Refusals(pool)
        self._logged: dict[str, Mark] = {}

    async def list_entries(self, tenant_id: str, query: AuditQuery) -> Page:
        """A page of the tenant's entries, the newest first."""
        async with connection(self._pool) as conn:
            return await store.list_entries(conn, tenant_id, query)

    async def log_heads(self) -> None:
        """Log where the chains end that have grown since the last time, for `verify` to be given one.

        Whoever may write to the database does not reach the log.
        """
        async with connection(self._pool) as conn:
            heads = await store.list_heads(conn, None)
        for tenant_id, head in heads.items():
            if self._logged.get(tenant_id) != head:
                logger.info("audit head %s head=%s", field_of("tenant_id", tenant_id), head)
        self._logged = dict(heads)

    async def stream_after(
        self, tenant_id: str, after: int, limit: int | None = None
    ) -> AsyncIterator[Sequence[Entry]]:
        """The tenant's entries that follow number `after`, the oldest first, some at a time: all there are, or the
        first `limit`. No connection is held in between."""
        left = sys.maxsize if limit is None else limit
        while left > 0:
            asked = min(left, STREAM_BATCH)
            # A reader that leaves in the middle would cost the connection, and a batch takes milliseconds.
            with anyio.CancelScope(shield=True):
                async with connection(self._pool) as conn:
                    entries = await store.list_entries_after(conn, tenant_id, after, asked)
            if entries:
                yield entries
                after = entries[-1].sequence
            if len(entries) < asked:
                return
            left -= asked

    async def verify(
        self,
        tenant_id: str | None = None,
        noted: Mark | None = None,
        progress: Callable[[int, int], None] = lambda seen, total: None,
    ) -> Sequence[ChainReport]:
        """Recomputes the tenant's chain, or every one there is, as they are at one moment.

        `noted` is of the tenant's chain, or of the platform's tenant. `progress` is told now and then how many
        entries have been seen, and of how many. Raises `NotFound` for a tenant without entries that nothing is
        noted of.
        """
        async with connection(self._pool) as conn, store.one_snapshot(conn):
            heads = await store.list_heads(conn, tenant_id)
            total = sum(head.sequence for head in heads.values())
            chains = ChainChecks(
                heads,
                {tenant_id or PLATFORM_TENANT: noted} if noted else {},
                totals=await store.list_totals(conn, tenant_id),
                expected=await store.list_tenants_with_tokens(conn, tenant_id),
            )
            seen = 0
            async for entry in store.stream_entries(conn, tenant_id):
                chains.see(entry)
                seen += 1
                if seen % _PROGRESS_EVERY == 0:
                    progress(seen, total)
        reports = chains.reports()
        if tenant_id is not None and not reports:
            raise NotFound(f"audit log of tenant {tenant_id}")
        return reports
