"""Accepts turns durably, runs them in the order of their threads, and picks up those that others dropped."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg_pool import PoolTimeout

from agent_runtime.errors import (
    AgentBusy,
    AgentError,
    AgentPaused,
    AgentStopping,
    CallerBusy,
    ThreadWaitsForInput,
    TurnSuperseded,
)
from agent_runtime.graph.outputs import Failed, Rejected
from agent_runtime.memory.store import find_summary
from agent_runtime.turns import store
from agent_runtime.turns.graph_run import RunResult
from agent_runtime.turns.lease import ProcessLease
from agent_runtime.turns.once import refuse_if_accepted
from agent_runtime.turns.reports import TurnReport
from agent_runtime.turns.running import MAX_RUNS, RunGraph, TurnRunner
from agent_runtime.turns.suspects import SUSPECT_RUNS, Suspects
from agent_runtime.turns.types import Accepted, HeldTurn, Turn, TurnRecorder, TurnRequest
from groundwork.http.load import ConnectionQueue
from groundwork.postgres.pool import (
    Connection,
    DatabaseUnavailable,
    Pool,
    connection,
    run_repeatable,
    transaction,
)
from groundwork.process.background import let_end
from groundwork.process.each_row import EachRow
from groundwork.process.in_turns import in_turns
from groundwork.telemetry.genai import Attributes, agent_call
from groundwork.telemetry.tracing import context_of, spanned

logger = logging.getLogger(__name__)


MAX_TAKEOVERS = 20
"""A queued turn that was taken over this often without running is given up: something keeps it from starting."""

_POLL_SECONDS = 0.1
_SHORTEST_DRAIN_SECONDS = 1.0

_COULD_NOT_START = Failed(f"the agent could not start this turn in {MAX_TAKEOVERS} attempts")


class Turns:
    """The turns of one process.

    The database says what is to be done and who does it; what is kept here is only what this process is
    doing about it. A turn it loses (a database that went away, a commit of unknown outcome) is simply
    dropped: `sweep` finds it again in the database, here or in another process of the same agent.
    """

    def __init__(
        self,
        pool: Pool,
        lease: ProcessLease,
        recorder: TurnRecorder,
        run_graph: RunGraph,
        *,
        report: Callable[[Turn], TurnReport] = TurnReport,
        after: Callable[[TurnReport, RunResult], None] = lambda report, result: None,
        used: Callable[[TurnReport], None] = lambda report: None,
        waited: Callable[[float], None] = lambda seconds: None,
        check_budget: Callable[[str], None] = lambda caller: None,
        lost: Callable[[str], None] = lambda task_id: None,
        most: int = 200,
        most_of_one: int = 200,
        longest_seconds: float = 3600,
    ) -> None:
        """`report` begins the report of a run; `waited` is told for how long a turn that begins was queued, `used`
        of each run that is over, `after` of each turn that has ended, and `lost` the task id of each that this
        process let go. `check_budget` refuses callers who have used up theirs.

        Of the turns that are submitted here `most` are taken at a time, and `most_of_one` of each caller who has a
        name; what dead processes leave, in any case.
        One that runs for longer than `longest_seconds` is stopped, and fails."""
        self._pool = pool
        self._lease = lease
        self._recorder = recorder
        self._runner = TurnRunner(
            pool,
            recorder,
            run_graph,
            report=report,
            after=after,
            used=used,
            lost=lost,
            longest_seconds=longest_seconds,
        )
        self._waited = waited
        self._check_budget = check_budget
        self._lost = lost
        self._most = most
        self._most_of_one = most_of_one
        self._accepting: Counter[str] = Counter()
        self._line = ConnectionQueue(pool)
        self._starting = EachRow("starting queued turn", logger)
        self._resuming = EachRow("finding the summary of a resumed turn", logger)
        self.refused = 0
        self.refused_to_one = 0
        self._queued: dict[int, HeldTurn] = {}
        self._running: dict[int, tuple[HeldTurn, asyncio.Task[None]]] = {}
        self._maybe_lost: set[int] = set()
        self._suspects = Suspects()
        self._wake = asyncio.Event()
        self._stopping = False
        self.paused: str | None = None
        """What the registry calls the agent while it is to take no new turns, such as `paused`. Those that run are
        brought to their end; those that are queued stay so."""

    @property
    def running(self) -> int:
        return len(self._running) + len(self._suspects) + sum(self._accepting.values())

    @property
    def waiting(self) -> int:
        return len(self._queued)

    @property
    def in_flight(self) -> int:
        """How many turns this process runs or has queued."""
        return len(self._running) + len(self._queued) + len(self._suspects)

    @property
    def queued(self) -> int:
        """How many of them wait for the turn before them in their thread."""
        return len(self._queued)

    @property
    def longest_wait(self) -> float:
        """For how many seconds the one that has waited longest has been in this process's queue."""
        now = time.monotonic()
        return now - min((held.since for held in self._queued.values()), default=now)

    @property
    def is_full(self) -> bool:
        """Whether a turn that is submitted now would be refused."""
        return self.in_flight + len(self._runner.unfinished) >= self._most or self._line.is_too_long

    def refuse(self) -> None:
        """Somebody was told already that there is no room."""
        self.refused += 1

    async def submit(self, request: TurnRequest) -> Turn:
        """Accepts a turn: once this returns, it will be run to an end, whatever becomes of the caller.

        Raises `AlreadyAccepted`, `KeyOfAnotherMessage`, `ThreadNotOurs`, `ThreadOfAnotherCaller`,
        `ThreadWaitsForInput`, `AgentStopping`, `AgentPaused`, `AgentBusy`, `CallerBusy`, `BudgetSpent`,
        `DatabaseUnavailable`, and what the recorder raises; then nothing was accepted, unless the database went
        away in the middle: nobody knows then, and if it was, the turn is run.
        """
        if self._stopping:
            raise AgentStopping
        if self.is_full:
            self.refused += 1
            raise AgentBusy
        try:
            self._check_may_begin(request)
        except AgentError:
            await refuse_if_accepted(self._pool, request.once)
            raise
        return await self._runner.finish(self._accept(request))

    def _check_may_begin(self, request: TurnRequest) -> None:
        if self.paused is not None and not request.answers:
            raise AgentPaused(self.paused)
        self._check_share(request.caller)
        self._check_budget(request.caller)

    def _check_share(self, caller: str) -> None:
        """Raises `CallerBusy`. Callers without a name may be many, and have no share."""
        if caller and self._in_hand_of(caller) >= self._most_of_one:
            self.refused_to_one += 1
            raise CallerBusy(self._most_of_one)

    def _in_hand_of(self, caller: str) -> int:
        held = (self._held(turn_id).turn.caller for turn_id in self._held_ids())
        return self._accepting[caller] + sum(one == caller for one in held)

    async def cancel(self, task_id: str) -> bool:
        """Ends the task's turn, on whichever process it runs. Returns whether there was one.

        Once this returns, nothing is written for the turn any more.
        """
        return await self._runner.finish(self._cancel(task_id))

    def let_go(self, turn_id: int) -> None:
        """Stops what this process does for a turn whose row somebody here has removed."""
        if self._knows(turn_id):
            self._drop(turn_id)

    def forget(self, thread_ids: Iterable[str]) -> None:
        """Stops what this process does for threads that were deleted; their rows are gone already."""
        gone = set(thread_ids)
        for turn_id in self._held_ids():
            if self._held(turn_id).turn.thread_id in gone:
                self._drop(turn_id)

    async def dispatch(self) -> None:
        """The loop that starts queued turns when their time has come."""
        while True:
            with suppress(TimeoutError):
                waits = self._queued or self._suspects
                await asyncio.wait_for(self._wake.wait(), _POLL_SECONDS if waits else None)
            self._wake.clear()
            if self._queued and not self._stopping and self.paused is None:
                await self._logged(self._start_ready(), "starting queued turns")
            if self._suspects and not self._stopping:
                await self._logged(self._start_suspect(), "starting a suspect turn")

    async def sweep(self) -> None:
        """The loop that takes over turns of dead processes and lets go of turns that are no longer ours."""
        while True:
            await self._logged(self._reconcile(), "looking for orphaned turns")
            await asyncio.sleep(self._lease.seconds / 5)

    def stop_accepting(self) -> None:
        """From now on nothing new is begun here: no message is accepted, no turn started or taken over."""
        self._stopping = True

    async def drain(self, seconds: float) -> None:
        """Takes no new turn, lets the running ones end for so long, then stops them where they are.

        What has not ended stays in the database and is resumed by the next process of this agent.
        """
        self.stop_accepting()
        ends_at = asyncio.get_running_loop().time() + seconds
        # What is half accepted or half ended is a matter of milliseconds, unless the database stands still.
        await let_end(set(self._runner.unfinished), max(seconds, _SHORTEST_DRAIN_SECONDS))
        tasks = {task for _, task in self._running.values()}
        if tasks and seconds:
            logger.info("draining seconds=%.0f turns=%d", seconds, len(tasks))
        await let_end(tasks, max(0.0, ends_at - asyncio.get_running_loop().time()))
        self._queued.clear()
        self._suspects.clear()

    # Accepting and cancelling

    async def _accept(self, request: TurnRequest) -> Turn:
        def accept(conn: Connection) -> Awaitable[Accepted]:
            return self._recorder.accept(conn, self._lease.agent_id, self._lease.process_id, request)

        with self._being_accepted(request.caller):
            if request.answers:  # accepted twice, the second time would be told that nobody has asked
                async with connection(self._pool) as conn:
                    accepted = await accept(conn)
            else:
                accepted = await run_repeatable(self._pool, accept)
        accepted.announce()
        held = HeldTurn(accepted.turn, request)
        if accepted.queued:
            self._enqueue(held)
        else:
            self._begin(held, accepted.summary)
        return accepted.turn

    @contextmanager
    def _being_accepted(self, caller: str) -> Iterator[None]:
        self._accepting[caller] += 1
        try:
            yield
        finally:
            self._accepting[caller] -= 1
            if not self._accepting[caller]:
                del self._accepting[caller]

    async def _cancel(self, task_id: str) -> bool:
        async with transaction(self._pool) as conn:
            turn = await store.delete_turn_of_task(conn, task_id, self._lease.agent_id)
            if turn is None:
                return False
            announce = await self._recorder.cancelled(conn, turn)
        announce()
        self._drop(turn.turn_id)
        return True

    # Running

    def _enqueue(self, held: HeldTurn) -> None:
        self._queued[held.turn.turn_id] = held
        self._wake.set()

    def _begin(self, held: HeldTurn, summary: str | None) -> None:
        turn_id = held.turn.turn_id
        self._waited(time.monotonic() - held.since)
        origin = held.request.origin if held.request else {}
        task = asyncio.create_task(
            spanned("turn", self._runner.run(held, summary), self._attributes(held.turn)),
            name=f"turn-{turn_id}",
            context=context_of(origin),
        )
        self._running[turn_id] = (held, task)
        task.add_done_callback(lambda _: self._ended(turn_id, task))

    def _attributes(self, turn: Turn) -> Attributes:
        """Of the turn's span: ours, and those by which viewers of traces know an agent at work."""
        agent_id = self._lease.agent_id
        asked = agent_call(agent_id, agent_id, turn.thread_id)
        return {"thread_id": turn.thread_id, "task_id": turn.task_id, **asked}

    def _ended(self, turn_id: int, task: asyncio.Task[None]) -> None:
        # A later attempt may have taken its place already, when it was slow to stop.
        if (entry := self._running.get(turn_id)) is not None and entry[1] is task:
            del self._running[turn_id]
        self._wake.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("turn dropped turn_id=%s", turn_id, exc_info=error)

    # Queue and sweep

    async def _start_ready(self) -> None:
        async with connection(self._pool) as conn:
            ready = await store.list_ready_turns(conn, self._lease.process_id)
        known = [held for turn_id in ready if (held := self._queued.get(turn_id)) is not None]
        for held in in_turns(known, lambda held: held.turn.caller):
            turn_id = held.turn.turn_id
            if self._queued.pop(turn_id, None) is not None:
                try:
                    # One that cannot be started is not ours any more: the sweep takes it up again.
                    with self._starting.handling(turn_id, task_id=held.turn.task_id):
                        await self._start(held)
                except DatabaseUnavailable:
                    self._queued[turn_id] = held
                    raise

    async def _start(self, held: HeldTurn) -> None:
        turn = held.turn
        try:
            if turn.attempt - turn.runs > MAX_TAKEOVERS:
                await self._runner.end_unrun(turn, _COULD_NOT_START)
                self._wake.set()
                return
            async with transaction(self._pool) as conn:
                await store.start_turn(conn, turn)
                announce = await self._recorder.started(conn, turn)
                summary = await _summary_of(conn, turn)
        except TurnSuperseded:
            self._lost(turn.task_id)
        except ThreadWaitsForInput as waiting:
            # The turn before this one left a question open; going on would discard it.
            with suppress(TurnSuperseded):
                await self._runner.end_unrun(turn, Rejected(str(waiting)))
            self._wake.set()
        else:
            announce()
            self._begin(held, summary)

    async def _reconcile(self) -> None:
        """Brings what this process does in line with what the database says it should be doing."""
        known = set(self._held_ids())
        async with connection(self._pool) as conn:
            ours = await store.list_held_turns(conn, self._lease.process_id)
            for turn_id in known - ours.keys() - self._runner.ending:
                self._drop(turn_id)
            if self._stopping:
                return
            # Seen once is not enough to call a turn lost: it may be about to be started, or just ended.
            unknown = {turn_id for turn_id, is_new in ours.items() if not (is_new or self._knows(turn_id))}
            lost, self._maybe_lost = unknown & self._maybe_lost, unknown
            async with conn.transaction():
                orphans = await store.take_over_turns(
                    conn, self._lease.process_id, self._lease.agent_id, list(lost)
                )
                # What was running when two processes died is run alone; see `Suspects`.
                suspects = {
                    orphan.turn.turn_id
                    for orphan in orphans
                    if SUSPECT_RUNS <= orphan.turn.runs < MAX_RUNS and orphan.turn.turn_id not in lost
                }
                begun = [
                    orphan.turn for orphan in orphans if not orphan.queued and orphan.turn.turn_id not in suspects
                ]
                await store.count_runs(conn, begun)
        for orphan in in_turns(orphans, lambda orphan: orphan.turn.caller):
            summary = await self._find_summary(orphan.turn)
            logger.warning("turn resumed turn_id=%s thread_id=%s", orphan.turn.turn_id, orphan.turn.thread_id)
            held = HeldTurn(orphan.turn, orphan.request)
            if orphan.queued:
                self._enqueue(held)
            elif orphan.turn.turn_id in suspects:
                self._suspects.add(held)
                self._wake.set()
            else:
                self._begin(held, summary)

    async def _find_summary(self, turn: Turn) -> str | None:
        """None, too, where it cannot be read: the turn goes on without it."""
        with self._resuming.handling(turn.turn_id, task_id=turn.task_id, thread_id=turn.thread_id):
            try:
                async with connection(self._pool) as conn:
                    return await _summary_of(conn, turn)
            except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout):
                logger.warning("turn resumed without its summary task_id=%s", turn.task_id)
        return None

    async def _start_suspect(self) -> None:
        held = self._suspects.take(self._running.keys())
        if held is None:
            return
        try:
            async with transaction(self._pool) as conn:
                summary = await _summary_of(conn, held.turn)
                counted = await store.count_runs(conn, [held.turn])
        except DatabaseUnavailable:
            self._suspects.add(held)
            raise
        if counted:
            self._begin(held, summary)
        else:
            self._lost(held.turn.task_id)

    def _held_ids(self) -> list[int]:
        return [*self._queued, *self._running, *self._suspects]

    def _held(self, turn_id: int) -> HeldTurn:
        waiting = self._queued.get(turn_id) or self._suspects.find(turn_id)
        return waiting or self._running[turn_id][0]

    def _knows(self, turn_id: int) -> bool:
        return turn_id in self._queued or turn_id in self._running or turn_id in self._suspects

    def _drop(self, turn_id: int) -> None:
        if (held := self._queued.pop(turn_id, None) or self._suspects.pop(turn_id)) is not None:
            self._lost(held.turn.task_id)
        elif (entry := self._running.get(turn_id)) is not None:
            held, task = entry
            task.cancel()
            self._lost(held.turn.task_id)

    async def _logged(self, work: Coroutine[Any, Any, None], what: str) -> None:
        try:
            await work
        except (DatabaseUnavailable, psycopg.Error) as error:
            logger.warning("%s failed, database unavailable: %s", what, error)
            await asyncio.sleep(_POLL_SECONDS)
        except Exception:  # whatever became of one turn, the others need this loop
            logger.exception("%s crashed, retrying", what)
            await asyncio.sleep(_POLL_SECONDS)


async def _summary_of(conn: Connection, turn: Turn) -> str | None:
    """The thread's long-term summary, for a turn that was accepted some time ago or by another process."""
    thread = await find_summary(conn, turn.thread_id, turn.owner_key)
    return thread.summary.text or None if thread else None
