"""Keeps the last checkpoints of each thread and removes those before them, beside the turns."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from agent_runtime.retention import store
from agent_runtime.retention.snapshots import Snapshots
from agent_runtime.retention.store import PRUNED_TABLES
from agent_runtime.threads.store import list_threads
from groundwork.postgres.pool import Connection, DatabaseUnavailable, Pool, connection
from groundwork.process.each_row import EachRow

logger = logging.getLogger(__name__)

GATHER_SECONDS = 1.0
"""How long threads wait for others, so that one with many turns is looked at once a second."""

THREAD_BATCH = 50
ROW_BATCH = 2000
"""How many threads, and how many checkpoints, one transaction holds: a turn that comes meanwhile waits for it."""

LOOK_SECONDS = 3600.0
LOOK_BATCH = 500
"""How often all threads are looked at, and how many at a time."""

_MOST_NAMED = 10_000

DELTA = "a delta channel"
"""Why `list_unprunable` names a thread, as it says it."""


@dataclass
class Pruning:
    """What a sweep did: how many rows are gone, by table; the threads it left alone, with the reason for each; and
    those that somebody else was working on, to be tried again."""

    rows: Counter[str] = field(default_factory=lambda: Counter(dict.fromkeys(PRUNED_TABLES, 0)))
    skipped: dict[str, str] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)


class Retention:
    """Keeps the `keep` latest checkpoints of each namespace of the agent's threads.

    What is in a thread does not change by it: the latest checkpoint is among them, with all that it refers to. Two
    sweeps may meet on a thread: whoever comes second leaves it for later. A thread that cannot be read without its
    older checkpoints is skipped and named.
    """

    def __init__(
        self,
        pool: Pool,
        agent_id: str,
        keep: int,
        *,
        pruned: Callable[[Mapping[str, int]], None],
        snapshots: Snapshots | None = None,
    ) -> None:
        """`pruned` is told what each transaction has removed, by table. Without `snapshots` threads with a delta
        channel are left alone."""
        if keep < 1:
            raise ValueError(f"at least the latest checkpoint is kept, not {keep}")
        self._pool = pool
        self._agent_id = agent_id
        self._keep = keep
        self._pruned = pruned
        self._snapshots = snapshots
        self._due: set[str] = set()
        self._wake = asyncio.Event()
        self._named: set[str] = set()
        self._rows = EachRow("pruning checkpoints", logger)

    def consider(self, thread_id: str) -> None:
        """The thread may have too many checkpoints now; returns at once."""
        self._due.add(thread_id)
        self._wake.set()

    async def sweep(self) -> None:
        """The loop that prunes the threads that were considered."""
        while True:
            await self._wake.wait()
            await asyncio.sleep(GATHER_SECONDS)
            self._wake.clear()
            try:
                await self._sweep_due()
            except DatabaseUnavailable as error:
                logger.warning("pruning checkpoints failed threads=%d: %s", len(self._due), error)
            if self._due:
                self._wake.set()

    async def look(self) -> None:
        """The loop that finds threads which nobody has considered: their process died before it came to them, or
        their turns were made before anything was pruned at all."""
        while True:
            try:
                await self._look_at_all()
            except DatabaseUnavailable as error:
                logger.warning("searching for old checkpoints failed: %s", error)
                await asyncio.sleep(GATHER_SECONDS)
            else:
                await asyncio.sleep(LOOK_SECONDS)

    async def drain(self, seconds: float) -> None:
        """Prunes what is due, as far as it takes no longer; the rest is found by the next process."""
        with suppress(DatabaseUnavailable, TimeoutError):
            async with asyncio.timeout(seconds):
                await self._sweep_due()

    async def prune(self, thread_ids: Sequence[str]) -> Pruning:
        """Prunes the agent's threads among these. Raises `DatabaseUnavailable`; what has gone by then stays gone.

        However much there is to prune, a transaction holds the threads for a moment only.
        """
        pruning = Pruning()
        wanted = list(thread_ids)
        while wanted:
            given = set(wanted)
            async with self._connection() as conn:
                async with conn.transaction():
                    locked = await store.lock_threads(conn, self._agent_id, wanted)
                    skipped = await store.list_unprunable(conn, locked)
                    deltas = self._take_deltas(skipped)
                    busy = await store.list_busy(conn, deltas)
                    snapshots = await self._write_snapshots(conn, [each for each in deltas if each not in busy])
                    wanted = [each for each in locked if each not in skipped and each not in deltas]
                    wanted += snapshots
                    rows = await self._prune(conn, wanted, snapshots)
                if missed := given - set(locked):
                    pruning.held |= await store.list_owned(conn, self._agent_id, list(missed))
            self._pruned(rows)
            pruning.rows.update(rows)
            pruning.skipped.update(skipped)
            pruning.held |= busy
            if not rows.total():
                wanted = []
        return pruning

    def _take_deltas(self, skipped: dict[str, str]) -> list[str]:
        """The threads with a delta channel, which need not be skipped where snapshots can be written."""
        if self._snapshots is None:
            return []
        deltas = [thread_id for thread_id, reason in skipped.items() if reason == DELTA]
        for thread_id in deltas:
            del skipped[thread_id]
        return deltas

    async def _write_snapshots(self, conn: Connection, thread_ids: Sequence[str]) -> dict[str, str]:
        """The checkpoints before which everything can go now, by thread. None of a thread with a turn: LangGraph
        reads such a channel in two statements, and what the second looks for must not go in between. A turn that
        comes later waits for the thread's row."""
        written = {}
        for thread_id in thread_ids:
            if self._snapshots and (at := await self._snapshots.write(conn, thread_id, self._keep)):
                written[thread_id] = at
        return written

    async def _prune(
        self, conn: Connection, thread_ids: Sequence[str], snapshots: Mapping[str, str]
    ) -> Counter[str]:
        """One step, which is the last when there was nothing to do."""
        rows: Counter[str] = Counter()
        if calls := await store.list_past_calls(conn, thread_ids, self._keep, ROW_BATCH):
            rows.update(await store.prune_calls(conn, calls))
        if past := await store.list_past_checkpoints(conn, thread_ids, self._keep, ROW_BATCH, snapshots):
            rows.update(await store.prune_checkpoints(conn, past))
        return rows

    async def _sweep_due(self) -> None:
        due = sorted(self._due)
        for start in range(0, len(due), THREAD_BATCH):
            batch = due[start : start + THREAD_BATCH]
            self._due.difference_update(batch)  # before: a turn that ends meanwhile makes its thread due again
            try:
                await self._prune_and_tell(batch)
            except (DatabaseUnavailable, asyncio.CancelledError):
                self._due.update(batch)
                raise

    async def _look_at_all(self) -> None:
        after = 0
        while True:
            async with self._connection() as conn:
                page = await list_threads(conn, self._agent_id, after, LOOK_BATCH)
                overlong = await store.list_overlong(conn, [thread.thread_id for thread in page], self._keep)
            for start in range(0, len(overlong), THREAD_BATCH):
                await self._prune_and_tell(overlong[start : start + THREAD_BATCH])
            if len(page) < LOOK_BATCH:
                return
            after = page[-1].position

    async def _prune_and_tell(self, thread_ids: Sequence[str]) -> None:
        """What goes wrong with one thread leaves the others to be pruned, one by one."""
        try:
            await self._prune_batch(thread_ids)
        except DatabaseUnavailable:
            raise
        except Exception:  # noqa: BLE001 - each of them is looked at alone, and what it is then is logged
            resting = self._rows.resting()
            for thread_id in thread_ids:
                if thread_id not in resting:
                    with self._rows.handling(thread_id, thread_id=thread_id):
                        await self._prune_batch([thread_id])

    async def _prune_batch(self, thread_ids: Sequence[str]) -> None:
        pruning = await self.prune(thread_ids)
        for thread_id in pruning.held:
            self.consider(thread_id)
        for thread_id, reason in pruning.skipped.items():
            self._name(thread_id, reason)

    def _name(self, thread_id: str, reason: str) -> None:
        """Once for each thread, as far as this process remembers."""
        if thread_id in self._named:
            return
        if len(self._named) >= _MOST_NAMED:
            self._named.clear()
        self._named.add(thread_id)
        logger.info("all checkpoints of a thread kept thread_id=%r: it uses %s", thread_id, reason)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        async with connection(self._pool) as conn:
            yield conn
