"""What an operator asks before a disk is full: what is there, what is growing, what would go."""

from collections import Counter
from collections.abc import Mapping, Sequence

from agent_runtime.retention import store as retention_store
from agent_runtime.retention.service import DELTA
from agent_runtime.retention.snapshots import SLACK
from agent_runtime.storage import store
from agent_runtime.storage.models import (
    TABLES,
    Forecast,
    Retention,
    StorageReport,
    TableForecast,
    TableSize,
)
from agent_runtime.threads.store import count_rows, list_threads
from groundwork.postgres.pool import Connection, Pool, connection

LARGEST_THREADS = 20

DAYS_OBSERVED = 7.0
"""How far the rate of growth looks back; at least a day, for the first hour of an agent says little of it."""

PAGE = 200

_SAMPLED_PAGES = 2000
"""How many pages of a table are read to find its largest threads, or how new its rows are: 16 MB."""

_MEASURED = (
    "checkpoints",
    "agent_threads",
    "agent_turn_records",
    "agent_message_keys",
    "agent_runs",
    "a2a_tasks",
    "a2a_push_configs",
    "persistent_memory",
    "store",
)
"""Tables whose rows say when they came."""

_GROWS_AS = {
    "checkpoint_blobs": "checkpoints",
    "checkpoint_writes": "checkpoints",
    "agent_thread_metadata": "agent_threads",
    "store_vectors": "store",
}
"""Tables whose rows do not say it, and those that they come along with. What is in neither does not pile up."""


class Storage:
    """The database of one agent. Tables are counted whole: agents that share a database share them. Every method
    raises `DatabaseUnavailable`."""

    def __init__(self, pool: Pool, agent_id: str) -> None:
        self._pool = pool
        self._agent_id = agent_id

    async def report(self) -> StorageReport:
        """Return the size of each table and the agent's largest threads; however large they are, a bounded part
        of them is read."""
        async with connection(self._pool) as conn, conn.transaction():
            tables = await store.list_tables(conn, TABLES)
            percents = _percents(tables)
            largest = await store.list_largest_threads(conn, self._agent_id, percents, LARGEST_THREADS)
        return StorageReport(tables, largest, sampled=min(percents.values()) < 100)

    async def forecast(self, retention: Retention, days: int = 30) -> Forecast:
        """Return what the tables come to at the rate of the last days, and what `retention` would remove now.

        Every thread is looked at, some at a time.
        """
        async with connection(self._pool) as conn, conn.transaction():
            tables = await store.list_tables(conn, TABLES)
            observed = await store.find_days_observed(conn, self._agent_id)
            observed = min(DAYS_OBSERVED, max(1.0, observed or 0.0))
            shares = await store.measure_new_rows(conn, observed * 86_400, _percents(tables))
        if retention.checkpoints:
            # What is left of a conversation is always new then; it grows by the threads that come.
            shares["checkpoints"] = shares.get("agent_threads", 0.0)
        removable = await self._count_removable(retention)
        return Forecast(
            days,
            observed,
            [_forecast(table, shares, observed, days, retention, removable) for table in tables],
            retention,
        )

    async def _count_removable(self, retention: Retention) -> Counter[str]:
        removable: Counter[str] = Counter()
        async with connection(self._pool) as conn:
            records = await store.count_old_records(conn, self._agent_id, retention.turn_history_days)
            keys = await store.count_old_keys(conn, self._agent_id, retention.idempotency_hours)
        removable.update(agent_turn_records=records, agent_message_keys=keys)
        if retention.thread_ttl_days or retention.checkpoints:
            after = 0
            while True:
                async with connection(self._pool) as conn:
                    page = await list_threads(conn, self._agent_id, after, PAGE)
                    removable += await self._count_of([thread.thread_id for thread in page], retention, conn)
                if len(page) < PAGE:
                    break
                after = page[-1].position
        return removable

    async def _count_of(self, thread_ids: Sequence[str], retention: Retention, conn: Connection) -> Counter[str]:
        idle: list[str] = []
        rows: Counter[str] = Counter()
        if retention.thread_ttl_days:
            idle = await retention_store.list_idle(conn, thread_ids, retention.thread_ttl_days * 86_400)
            rows.update((await count_rows(conn, self._agent_id, idle)).rows)
        if retention.checkpoints:
            rest = [thread_id for thread_id in thread_ids if thread_id not in set(idle)]
            wanted = await _prunable(conn, rest, retention.checkpoints)
            rows += await store.count_past_checkpoints(conn, wanted, retention.checkpoints)
        return rows


async def _prunable(conn: Connection, thread_ids: Sequence[str], keep: int) -> list[str]:
    """The threads that retention would prune now: those with a delta channel only when they have gathered many."""
    overlong = await retention_store.list_overlong(conn, thread_ids, keep)
    skipped = await retention_store.list_unprunable(conn, overlong)
    wanted = [thread_id for thread_id in overlong if thread_id not in skipped]
    for thread_id, reason in skipped.items():
        if reason == DELTA and await retention_store.find_oldest_kept(conn, thread_id, keep, SLACK):
            wanted.append(thread_id)
    return wanted


def _percents(tables: Sequence[TableSize]) -> dict[str, float]:
    pages = {table.name: table.pages for table in tables}
    wanted = {*_MEASURED, *_GROWS_AS}
    return {name: min(100.0, 100.0 * _SAMPLED_PAGES / max(1, pages.get(name, 0))) for name in wanted}


def _forecast(
    table: TableSize,
    shares: Mapping[str, float],
    observed: float,
    days: int,
    retention: Retention,
    removable: Mapping[str, int],
) -> TableForecast:
    share = shares.get(_GROWS_AS.get(table.name, table.name), 0.0)
    per_day = table.rows * share / observed
    then = table.rows + per_day * days
    kept_days = {
        "agent_turn_records": retention.turn_history_days,
        "agent_message_keys": retention.idempotency_hours / 24,
    }
    if table.name in kept_days:  # these are removed all the time, so they come to a stand
        then = max(table.rows, min(then, per_day * kept_days[table.name]))
    return TableForecast(table, per_day, round(then), removable.get(table.name, 0))
