"""Writes that are refused: whoever repeats them fills neither the audit log nor the database's day."""

import logging
import time
from urllib.parse import quote

from groundwork.postgres.pool import Pool, connection, transaction
from groundwork.process.each_row import EachRow
from registry.access import Principal
from registry.audit import store
from registry.audit.models import RefusalKey, RefusalKind
from registry.plaintext_tokens import hide_tokens

logger = logging.getLogger(__name__)

MOST_ENTRIES: dict[RefusalKind, int] = {"token": 1, "role": 100}
"""How many refusals of a kind the log tells one by one, for each token and hour; the others it counts."""

FLUSH_SECONDS = 10.0
_LONGEST_PATH = 1000


class Refusals:
    """Puts refused writes on record: the first ones of a token's hour at once, how many came after them when the
    hour is over. Those that are only counted cost no statement of their own."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._counted_until: dict[RefusalKey, float] = {}
        self._pending: dict[RefusalKey, tuple[Principal, int]] = {}
        self._rows = EachRow("recording how many writes were refused", logger)

    async def record(self, principal: Principal, kind: RefusalKind, method: str, path: str, reason: str) -> None:
        key = RefusalKey(principal.tenant_id, principal.actor_id, kind)
        if self._counted_until.get(key, 0.0) > time.monotonic():
            self._count(key, principal, 1)
            return
        # As it stands in a request: a path may hold any character, a text in the database may not.
        path = hide_tokens(quote(path, safe="/:@!$&'()*+,;="))[:_LONGEST_PATH]
        async with transaction(self._pool) as conn:
            await store.end_refusals(conn, key)
            entries, seconds_left = await store.note_refusal(conn, key, principal, MOST_ENTRIES[kind])
            if entries <= MOST_ENTRIES[kind]:
                await store.append_entry(
                    conn, principal, "write_refused", path, method=method, path=path, reason=reason
                )
        if entries >= MOST_ENTRIES[kind]:
            self._counted_until[key] = time.monotonic() + seconds_left

    async def flush(self) -> None:
        """To be called now and then: stores what was counted here, and tells the log of hours that are over."""
        now = time.monotonic()
        self._counted_until = {key: until for key, until in self._counted_until.items() if until > now}
        async with connection(self._pool) as conn:
            for key in list(self._pending):
                principal, count = self._pending.pop(key)
                try:
                    await store.count_refusals(conn, key, principal, count)
                except BaseException:
                    self._count(key, principal, count)
                    raise
            for key in await store.list_ended_refusals(conn, self._rows.resting()):
                with self._rows.handling(key, tenant_id=key.tenant_id, actor_id=key.actor_id):
                    async with conn.transaction():
                        await store.end_refusals(conn, key)

    def _count(self, key: RefusalKey, principal: Principal, count: int) -> None:
        self._pending[key] = (principal, self._pending.get(key, (principal, 0))[1] + count)
