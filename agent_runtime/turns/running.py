"""Runs one turn: from the graph's first step to the end of its task, whatever comes in between."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import psycopg

from agent_runtime.errors import TurnSuperseded
from agent_runtime.graph.outputs import Failed, Outcome, Output
from agent_runtime.turns import store
from agent_runtime.turns.containment import contained
from agent_runtime.turns.graph_run import Put, RunResult
from agent_runtime.turns.reports import TurnReport, failure_of
from agent_runtime.turns.types import HeldTurn, Turn, TurnRecorder, TurnRequest
from groundwork.postgres.checkpoint_rows import CheckpointRows
from groundwork.postgres.pool import DatabaseUnavailable, Pool, connection, run_repeatable

logger = logging.getLogger(__name__)

Result = TypeVar("Result")

MAX_RUNS = 5
"""A turn that was running when its process died, this often, is given up: it is likely to be what kills them."""

_COULD_NOT_FINISH = Failed("the agent could not finish this turn")

RunGraph = Callable[[TurnReport, TurnRequest, str | None, Put], Awaitable[RunResult]]
"""Runs the user's graph for a turn, given the thread's long-term summary and where outputs go."""


class TurnRunner:
    """Brings turns to their end, one call of `run` each, and records what comes of them.

    `unfinished` is what has to be waited for when the process stops: transactions under way, whose outcome would
    be unknown otherwise. `ending` are the turns whose rows may go at any moment, since they are at their end.
    """

    def __init__(
        self,
        pool: Pool,
        recorder: TurnRecorder,
        run_graph: RunGraph,
        *,
        report: Callable[[Turn], TurnReport],
        after: Callable[[TurnReport, RunResult], None],
        used: Callable[[TurnReport], None],
        lost: Callable[[str], None],
        longest_seconds: float,
    ) -> None:
        self._pool = pool
        self._recorder = recorder
        self._run_graph = run_graph
        self._report = report
        self._after = after
        self._used = used
        self._lost = lost
        self._longest_seconds = longest_seconds
        self.unfinished: set[asyncio.Task[Any]] = set()
        self.ending: set[int] = set()

    async def finish(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Do the work to its end, also when the caller goes away: its outcome must not be unknown to us."""
        task = asyncio.create_task(work)
        self.unfinished.add(task)
        task.add_done_callback(self.unfinished.discard)
        return await asyncio.shield(task)

    async def run(self, held: HeldTurn, summary: str | None) -> None:
        """Run the turn and record its end, unless somebody else has ended it, or the database is away."""
        turn = held.turn
        report = self._report(turn)
        try:
            result = await self._outcome(held, report, summary)
            await self._end_somehow(report, result)
        except TurnSuperseded:
            logger.info("turn superseded turn_id=%s thread_id=%s", turn.turn_id, turn.thread_id)
            self._lost(turn.task_id)
            await self._add_usage(report)
        except asyncio.CancelledError:
            await self._add_usage(report)
            raise
        except DatabaseUnavailable as error:
            logger.warning(
                "turn suspended, database unavailable turn_id=%s thread_id=%s: %s",
                turn.turn_id,
                turn.thread_id,
                error,
            )
        else:
            self._after(report, result)
        finally:
            self._used(report)

    async def _add_usage(self, report: TurnReport) -> None:
        """Note what was used for a turn that somebody else has ended, or will."""
        usage = report.usage()
        if usage is None:
            return

        async def add() -> None:
            async with connection(self._pool) as conn:
                await store.add_usage(conn, report.turn, usage)

        try:
            await self.finish(add())
        except DatabaseUnavailable as error:
            logger.warning("usage lost, database unavailable turn_id=%s: %s", report.turn.turn_id, error)

    async def _outcome(self, held: HeldTurn, report: TurnReport, summary: str | None) -> RunResult:
        turn = held.turn
        if turn.runs >= MAX_RUNS:
            return RunResult(Failed(f"the agent died {MAX_RUNS} times while it worked on this"), [], [])
        if held.request is None:
            return RunResult(Failed("the agent cannot read the message that it had accepted"), [], [])

        async def put(outputs: Sequence[Output]) -> None:
            async with connection(self._pool) as conn:
                announce = await self._recorder.progressed(conn, turn, outputs)
            announce()

        limit = asyncio.timeout(self._longest_seconds)
        try:
            with contained():
                async with limit:
                    return await self._run_graph(report, held.request, summary, put)
        except (TurnSuperseded, DatabaseUnavailable):
            raise
        except BaseException as error:  # the user's graph may raise anything; its turn must still end
            if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                raise
            if limit.expired():
                seconds = f"{self._longest_seconds:g} seconds"
                logger.warning(
                    "turn timed out turn_id=%s thread_id=%s after=%s", turn.turn_id, turn.thread_id, seconds
                )
                reason = f"the agent did not finish this turn within {seconds}"
                report.failure = report.failure and replace(report.failure, error="TimeoutError", message=reason)
                return RunResult(Failed(reason), [], [])
            logger.exception(
                "turn failed, uncaught exception turn_id=%s thread_id=%s", turn.turn_id, turn.thread_id
            )
            return RunResult(_failure(error), [], [])

    async def end_unrun(self, turn: Turn, outcome: Outcome) -> None:
        """End a turn that is not to be run. Raises `TurnSuperseded` when it is not ours any more."""
        await self._end(self._report(turn), outcome, [])

    async def _end_somehow(self, report: TurnReport, result: RunResult) -> None:
        """The end of a turn whose last checkpoints may be such that the database does not take them."""
        turn = report.turn
        try:
            await self._end(report, result.outcome, result.outputs, result.unsaved)
        except psycopg.Error as error:
            if not result.unsaved:
                raise
            logger.exception(
                "turn failed, its end cannot be stored turn_id=%s thread_id=%s", turn.turn_id, turn.thread_id
            )
            report.failure = failure_of(error)
            await self._end(report, _COULD_NOT_FINISH, [])

    async def _end(
        self,
        report: TurnReport,
        outcome: Outcome,
        outputs: Sequence[Output],
        unsaved: CheckpointRows | None = None,
    ) -> None:
        turn, ending = report.turn, report.ending(outcome)

        async def end() -> None:
            announce = await run_repeatable(
                self._pool, lambda conn: self._recorder.ended(conn, turn, outcome, outputs, unsaved, ending)
            )
            announce()

        self.ending.add(turn.turn_id)
        try:
            await self.finish(end())
        finally:
            self.ending.discard(turn.turn_id)


def _is_cancelled() -> bool:
    """Whether this turn is told to stop; a graph can also raise a CancelledError of its own."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _failure(error: BaseException) -> Failed:
    """What the caller is told: the text of an error may hold anything, the name of one that is no failure of the
    work, but an attempt to end the process or the task, explains it."""
    for raised in (error, error.__cause__):
        if raised is not None and not isinstance(raised, Exception):
            kind = type(raised).__name__
            return Failed(f"{_COULD_NOT_FINISH.reason}: its code raised {kind}", kind)
    return Failed(_COULD_NOT_FINISH.reason, type(error).__name__)
