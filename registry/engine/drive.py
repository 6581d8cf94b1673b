"""What workers do for the jobs of `jobs.py`."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from uuid import UUID

from groundwork.bounds import LOST_WORKERS
from groundwork.postgres.pool import Connection, DatabaseUnavailable, connection, transaction
from registry.engine.graph import RunState
from registry.engine.run import Run
from registry.engine.toolbox import Compiled, WorkerContext
from registry.executions import store, waking
from registry.executions.events import Event
from registry.executions.models import Signal, Status, TakenUp, show_execution_id
from registry.executions.store import ExecutionNotOurs

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 1.0
"""How often a worker looks whether a long step still is its own to take."""

_ALONE_SECONDS = 30.0
"""How long a suspect waits for the one before it."""


class _Suspect(Exception):
    """An execution over which workers have ended is not to be run beside another such."""


class Driver:
    """Takes executions as far as they go: to their end, or to where every way waits for something."""

    def __init__(self, worker_context: WorkerContext, in_hand: set[str]) -> None:
        """`in_hand` is kept up to date with what is being driven, for others to see."""
        self._context = worker_context
        self._in_hand = in_hand
        self._looking: set[asyncio.Task[None]] = set()
        self._suspects = asyncio.Lock()

    async def drive(self, execution_id: str) -> None:
        """Nothing happens for one that has ended, or waits and has heard nothing. Raises `DatabaseUnavailable`."""
        key = UUID(execution_id)
        try:
            await self._drive(key, alone=False)
        except _Suspect:
            await self._drive_alone(key)

    async def _drive_alone(self, key: UUID) -> None:
        """Drive it while no other suspect is driven here: when this process ends then, it is plain over which."""
        held = False
        with suppress(TimeoutError):  # one before it that neither ends nor ends the process
            held = await asyncio.wait_for(self._suspects.acquire(), _ALONE_SECONDS)
        try:
            await self._drive(key, alone=True)
        finally:
            if held:
                self._suspects.release()

    async def _take_up(self, key: UUID, *, alone: bool) -> tuple[TakenUp, Compiled] | None:
        """Raises `_Suspect`, and leaves the execution as it is, when it is one and may not run beside others."""
        async with self._connection() as conn:
            taken = await store.take_up(conn, key, self._context.worker_id)
            if taken is None:
                return None
            if taken.lost_workers >= LOST_WORKERS:
                error = f"{taken.lost_workers} workers ended while they ran this execution"
                logger.error("execution failed execution_id=%s: %s", show_execution_id(key), error)
                await self._fail(conn, key, error)
                return None
            if taken.lost_workers == LOST_WORKERS - 1 and not alone:
                raise _Suspect
            return taken, await self._context.compiled(conn, taken.revision_id)

    async def _drive(self, key: UUID, *, alone: bool) -> None:
        found = await self._take_up(key, alone=alone)
        if found is None:
            return
        taken, compiled = found
        run = Run(self._context, taken, compiled)
        self._in_hand.add(show_execution_id(key))
        try:
            async with self._while_ours(taken):
                await self._travel(run, taken)
        except ExecutionNotOurs:
            logger.info("execution taken over by another worker execution_id=%s", show_execution_id(key))
        finally:
            self._in_hand.discard(show_execution_id(key))

    async def _travel(self, run: Run, taken: TakenUp) -> None:
        state: RunState | None = None
        if taken.previous_status == "pending" or taken.previous_driver is not None:
            state = await run.begin(is_new=taken.previous_driver is None)
        while True:
            ended = (state or {}).get("ended")
            if ended:
                await run.finalize(ended)
            signals = await self._rest_or_go_on(run, taken, state)
            if not signals:
                return
            state = await run.go_on(signals)

    async def _rest_or_go_on(self, run: Run, taken: TakenUp, state: RunState | None) -> list[Signal]:
        """Lets go of the execution, unless something has come in for it meanwhile."""
        async with self._connection() as conn:
            if taken.parent_execution_id is not None:
                await store.lock_above(conn, taken.execution_id)
            await store.hold(conn, taken.execution_id, taken.fence)
            ended = (state or {}).get("ended")
            waits = await store.list_waits(conn, taken.execution_id)
            signals = await store.list_signals(conn, taken.execution_id)
            unfinished = {wait.node_id for wait in waits} | {signal.node_id for signal in signals}
            if ended and not unfinished & run.finalizers:
                await self._end(conn, taken, ended["status"], ended["error"])
                return []
            if signals:
                return signals
            if waits:
                await store.rest(conn, taken)
            else:
                await self._end(conn, taken, "completed", None)
            return []

    async def _end(self, conn: Connection, taken: TakenUp, status: Status, error: str | None) -> None:
        if status == "completed":
            row = await store.find_execution(conn, taken.execution_id)
            event = Event("workflow_completed", None, {"final_state": row.state if row else {}})
        elif status == "limit_exceeded":
            event = Event("strategy_limit_hit", None, {"reason": error})
        else:
            event = Event("workflow_failed", None, {"error": error})
        await waking.finish(conn, self._context.jobs, taken.execution_id, status, event, error)

    async def ring(self, wait_id: str) -> None:
        async with self._connection() as conn:
            await waking.ring(conn, self._context.jobs, UUID(wait_id))

    async def expire(self, execution_id: str) -> None:
        async with self._connection() as conn:
            await waking.expire(conn, self._context.jobs, UUID(execution_id))

    async def report(self, execution_id: str) -> None:
        async with self._connection() as conn:
            await waking.report_to_parent(conn, self._context.jobs, UUID(execution_id))

    async def give_up(self, execution_id: str, error: str) -> None:
        """Fails an execution that cannot be driven, so that it does not run for ever."""
        key = UUID(execution_id)
        async with self._connection() as conn:
            await store.lock_execution(conn, key)
            await self._fail(conn, key, error)

    async def _fail(self, conn: Connection, key: UUID, error: str) -> None:
        event = Event("workflow_failed", None, {"error": error})
        await waking.finish(conn, self._context.jobs, key, "failed", event, error)

    @asynccontextmanager
    async def _while_ours(self, taken: TakenUp) -> AsyncIterator[None]:
        """Cuts a long step short when the execution is cancelled or taken over: nothing of it could be written."""
        task = asyncio.current_task()
        over = asyncio.Event()
        lost = False

        async def look() -> None:
            nonlocal lost
            while not lost:
                with suppress(TimeoutError):
                    await asyncio.wait_for(over.wait(), _LOOK_SECONDS)
                if over.is_set():
                    return
                try:
                    async with connection(self._context.pool) as conn:
                        lost = not await store.is_held(conn, taken.execution_id, taken.fence)
                except DatabaseUnavailable:
                    continue  # the next write finds out
            if task is not None and not over.is_set():
                task.cancel()

        looking = asyncio.create_task(look(), name="still-ours")
        self._looking.add(looking)
        looking.add_done_callback(self._looking.discard)
        try:
            yield
        except asyncio.CancelledError:
            if lost and task is not None and task.uncancel() == 0:
                raise ExecutionNotOurs from None
            raise
        finally:
            # It is not cancelled: in the middle of a question that would cost the connection, and PgBouncer before
            # 1.20 its life.
            over.set()

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        async with transaction(self._context.pool) as conn:
            yield conn
