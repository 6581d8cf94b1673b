"""Runs the project's graphs for turns, with what the runtime adds to it."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from agent_runtime.components.opening import Components
from agent_runtime.components.snapshot import Snapshot
from agent_runtime.errors import InvalidValue, TurnSuperseded
from agent_runtime.graph.context import TurnContext
from agent_runtime.graph.contexts import configurable
from agent_runtime.graph.inputs import GraphInput
from agent_runtime.graph.outputs import Completed, Failed, Outcome, Output, Rejected
from agent_runtime.memory.config import LiveMemoryConfig
from agent_runtime.memory.graph_store import AgentStore
from agent_runtime.memory.summaries import Summaries
from agent_runtime.metrics import AgentMetrics
from agent_runtime.project.file import Project
from agent_runtime.project.graph import Graphs, GraphSource
from agent_runtime.retention.service import Retention
from agent_runtime.settings import AgentSettings
from agent_runtime.threads.store import find_graph, keep_graph
from agent_runtime.turn_records.budget import Budget
from agent_runtime.turns.conversation_cache import ConversationCache
from agent_runtime.turns.graph_run import GraphRun, Put, RunResult
from agent_runtime.turns.reports import TurnReport, failure_of
from agent_runtime.turns.saver import Durability, TurnSaver
from agent_runtime.turns.types import Turn, TurnRequest
from groundwork.postgres.pool import Pool, connection


class TurnObserver(Protocol):
    """Somebody who watches the turns of this process."""

    def began(self, turn: Turn, request: TurnRequest) -> None: ...

    def put(self, turn: Turn, outputs: Sequence[Output]) -> None: ...

    def ended(self, report: TurnReport, outcome: Outcome) -> None: ...


class GraphRunner:
    """Runs the project's graphs for the turn engine, with what the runtime adds to it."""

    def __init__(
        self,
        settings: AgentSettings,
        project: Project,
        graphs: Graphs,
        pool: Pool,
        memory: LiveMemoryConfig,
        components: Components,
        recent: ConversationCache,
        summaries: Summaries,
        retention: Retention | None,
        metrics: AgentMetrics,
        budget: Budget,
        store: AgentStore | None,
        observer: TurnObserver | None = None,
    ) -> None:
        self._settings = settings
        self._agent_name = project.card.name
        self._prices = project.prices
        self._graphs = graphs
        self._pool = pool
        self._memory = memory
        self._components = components
        self._summaries = summaries
        self._retention = retention
        self._metrics = metrics
        self._budget = budget
        self._directory = project.directory
        self._store = store
        self._observer = observer
        # A thread needs an owner, so an agent without an id answers but remembers nothing.
        self._remembers = settings.memory_enabled and settings.agent_id is not None
        self._recent = recent

    def report(self, turn: Turn) -> TurnReport:
        return TurnReport(turn, self._prices, self._settings.model or "offline")

    async def run(self, report: TurnReport, request: TurnRequest, summary: str | None, put: Put) -> RunResult:
        turn = report.turn
        if self._observer is not None:
            put = _observed(self._observer, turn, request, put)
        source = await self._source(turn, request)
        if source is None:
            return RunResult(Failed(f"the agent has no graph {request.graph_id!r} any more"), [], [])
        with self._components.hold() as snapshot:
            turn_context = self._context(turn, request, summary, snapshot)
            call = request.call
            durability = (call and call.durability) or self._settings.checkpoint_durability
            saver = self._saver(report, request, source, durability) if self._remembers else None
            # What says who calls is ours to say, and comes last.
            given = {
                **(call.configurable if call else {}),
                **configurable(self._settings.agent_id, request.caller),
            }
            started = time.monotonic()
            try:
                context = source.contexts.build(turn_context, request.metadata)
            except InvalidValue as error:
                return RunResult(Rejected(str(error)), [], [])
            try:
                place = {"thread_id": turn.thread_id, **given}
                with report.watching(self._directory):
                    async with source.opened(place, turn.caller, context, self._store) as graph:
                        run = GraphRun(
                            graph,
                            turn,
                            context,
                            inputs=source.inputs,
                            configurable=given,
                            call=call,
                            saver=saver,
                            store=self._store,
                            durability=durability,
                            put=put,
                        )
                        result = await run.run(request)
                    if result.error is not None:
                        report.failure = failure_of(result.error, self._directory)
                    return result
            finally:
                self._metrics.turn_ran(time.monotonic() - started)

    async def _source(self, turn: Turn, request: TurnRequest) -> GraphSource | None:
        """The graph that the request is for, or that answers in its thread; `None` when it is gone."""
        if not self._graphs.are_several:
            return self._graphs.default
        if request.graph_id:
            return self._graphs.find(request.graph_id)
        async with connection(self._pool) as conn:
            name = await keep_graph(conn, turn.thread_id, self._graphs.default_name)
        if name is None:
            raise TurnSuperseded(f"thread {turn.thread_id} is gone")
        return self._graphs.find(name) or self._graphs.default

    def _saver(
        self, report: TurnReport, request: TurnRequest, source: GraphSource, durability: Durability
    ) -> TurnSaver:
        return TurnSaver(
            self._pool,
            report.turn,
            serializer=source.serializer,
            answers=request.answers or bool(request.call and request.call.answers),
            durability=durability,
            recent=self._recent,
            report=report,
        )

    def _context(self, turn: Turn, request: TurnRequest, summary: str | None, snapshot: Snapshot) -> TurnContext:
        agent_id = self._settings.agent_id
        return TurnContext(
            thread_id=turn.thread_id,
            task_id=turn.task_id,
            message_id=request.message_id,
            caller=request.caller,
            agent_id=agent_id,
            model=snapshot.model,
            prompts=snapshot.prompts(agent_id=agent_id or "", agent_name=self._agent_name, caller=request.caller),
            tools=snapshot.tools,
            summary=summary,
            memory=self._memory,
        )

    def used(self, report: TurnReport) -> None:
        self._metrics.turn_used(report)
        self._budget.spend(report.turn.caller, report.tokens, report.cost)

    def after(self, report: TurnReport, result: RunResult) -> None:
        turn = report.turn
        report.log(result.outcome)
        if self._observer is not None:
            self._observer.ended(report, result.outcome)
        self._metrics.turn_ended(result.outcome)
        if self._remembers and isinstance(result.outcome, Completed):
            self._summaries.consider(turn.thread_id, turn.owner_key, result.messages)
        if self._retention is not None:
            self._retention.consider(turn.thread_id)


def _observed(observer: TurnObserver, turn: Turn, request: TurnRequest, put: Put) -> Put:
    observer.began(turn, request)

    async def seen(outputs: Sequence[Output]) -> None:
        observer.put(turn, outputs)
        await put(outputs)

    return seen


async def takes_in_thread(
    pool: Pool, graphs: Graphs, thread_id: str
) -> tuple[GraphInput, Callable[[Mapping[str, Any]], None]]:
    """What the graph takes that answers in the thread; see `a2a_server.handler.Takes`."""
    source = graphs.default
    if thread_id and graphs.are_several:
        async with connection(pool) as conn:
            source = graphs.find(await find_graph(conn, thread_id) or "") or source
    return source.inputs, source.contexts.check
