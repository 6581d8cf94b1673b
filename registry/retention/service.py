"""The sweeps that remove old executions and artifacts, beside the requests."""

import asyncio
import logging
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from uuid import UUID

from groundwork.postgres.pool import Connection, DatabaseUnavailable, Pool, connection, transaction
from groundwork.process.each_row import EachRow, is_database_away
from registry.erasures.store import ERASED_TABLES, erase_executions
from registry.retention import store
from registry.retention.store import Kind, OldExecution

logger = logging.getLogger(__name__)

PASS_SECONDS = 3600.0
"""How long after the end of a pass the next one begins, at most."""

LOOK_SECONDS = 30.0
"""How often a process asks whether a pass is due, and how often one that goes on is told of in the log."""

BATCH = 100
"""How much one transaction removes."""

# Artifacts have days of their own, and others may need them.
_TABLES = [table for table in ERASED_TABLES if table != "artifacts"]


class OldRows:
    """Removes executions that ended `execution_seconds` ago with all that is kept of them, and artifacts that were
    last put `artifact_seconds` ago; 0 keeps them for ever. Nothing that runs or waits goes, and nothing of it.

    All processes on a database make one sweep together: a step that is under way anywhere keeps the others from
    one. Between its steps a process rests as long as they took.
    """

    def __init__(
        self,
        pool: Pool,
        execution_seconds: float,
        artifact_seconds: float,
        *,
        removed: Callable[[Mapping[str, int]], None],
    ) -> None:
        """`removed` is told of the rows of each step, by table."""
        self._pool = pool
        self._seconds: dict[Kind, float] = {"executions": execution_seconds, "artifacts": artifact_seconds}
        self._removed = removed
        self._rows = EachRow("removing old executions", logger)
        self._since_told: dict[Kind, Counter[str]] = {"executions": Counter(), "artifacts": Counter()}
        self._told_at: dict[Kind, float] = dict.fromkeys(self._seconds, time.monotonic())

    async def sweep(self, kind: Kind) -> None:
        """The loop that removes what is old of a kind, and lasts as long as the process."""
        while True:
            began = time.monotonic()
            try:
                goes_on = await self.step(kind)
            except DatabaseUnavailable as error:
                logger.warning("removing old rows failed kind=%s: %s", kind, error)
                goes_on = False
            pause = time.monotonic() - began if goes_on else min(LOOK_SECONDS, self._pass_seconds(kind))
            await asyncio.sleep(pause)

    async def step(self, kind: Kind) -> bool:
        """Remove the oldest of a kind. Return whether the pass goes on; not when another process is at it. Raises
        `DatabaseUnavailable`."""
        async with connection(self._pool) as conn:
            await store.open_sweep(conn, kind)
        async with transaction(self._pool) as conn:
            if not await store.take_sweep(conn, kind):
                return False
            rows, goes_on = await self._remove(conn, kind)
            if not goes_on:
                await store.end_pass(conn, kind, self._pass_seconds(kind))
        self._removed(rows)
        self._tell(kind, rows, passed=not goes_on)
        return goes_on

    def _pass_seconds(self, kind: Kind) -> float:
        return min(PASS_SECONDS, self._seconds[kind] / 2)

    async def _remove(self, conn: Connection, kind: Kind) -> tuple[Counter[str], bool]:
        if kind == "artifacts":
            removed = await store.remove_old_artifacts(conn, self._seconds[kind], BATCH)
            return Counter(artifacts=removed), removed == BATCH
        old = await store.list_old_executions(conn, self._seconds[kind], BATCH, self._rows.resting())
        return await self._remove_executions(conn, old), len(old) == BATCH

    async def _remove_executions(self, conn: Connection, old: list[OldExecution]) -> Counter[str]:
        """What goes wrong with one leaves the others to be removed, one by one."""
        by_tenant: dict[str, list[UUID]] = defaultdict(list)
        for execution in old:
            by_tenant[execution.tenant_id].append(execution.execution_id)
        try:
            async with conn.transaction():
                rows: Counter[str] = Counter()
                for tenant_id, execution_ids in by_tenant.items():
                    rows += await erase_executions(conn, tenant_id, execution_ids, _TABLES)
                return rows
        except Exception as error:
            if is_database_away(error):
                raise
        rows = Counter()
        for tenant_id, execution_id in old:
            with self._rows.handling(execution_id, execution_id=execution_id):
                async with conn.transaction():
                    rows += await erase_executions(conn, tenant_id, [execution_id], _TABLES)
        return rows

    def _tell(self, kind: Kind, rows: Counter[str], *, passed: bool) -> None:
        told = self._since_told[kind]
        told.update(rows)
        if told[kind] and (passed or time.monotonic() - self._told_at[kind] >= LOOK_SECONDS):
            logger.info(
                "old rows removed kind=%s count=%d rows=%d pass_completed=%s",
                kind,
                told[kind],
                told.total(),
                str(passed).lower(),
            )
            told.clear()
            self._told_at[kind] = time.monotonic()
