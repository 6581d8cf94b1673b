"""Runs the project's graph for turns, with what the runtime adds to it."""

import time
from pathlib import Path

from agent_runtime.components.opening import Components
from agent_runtime.components.snapshot import Snapshot
from agent_runtime.errors import InvalidValue
from agent_runtime.graph.context import TurnContext
from agent_runtime.graph.contexts import configurable
from agent_runtime.graph.outputs import Completed, Rejected
from agent_runtime.memory.config import LiveMemoryConfig
from agent_runtime.memory.graph_store import AgentStore
from agent_runtime.memory.summaries import Summaries
from agent_runtime.metrics import AgentMetrics
from agent_runtime.project.graph import GraphSource
from agent_runtime.retention.service import Retention
from agent_runtime.settings import AgentSettings
from agent_runtime.turns.conversation_cache import ConversationCache
from agent_runtime.turns.graph_run import GraphRun, Put, RunResult
from agent_runtime.turns.reports import report_end, reporting
from agent_runtime.turns.saver import Durability, TurnSaver
from agent_runtime.turns.state_types import serializer_for
from agent_runtime.turns.types import Turn, TurnRequest
from groundwork.postgres.pool import Pool


class GraphRunner:
    """Runs the project's graph for the turn engine, with what the runtime adds to it."""

    def __init__(
        self,
        settings: AgentSettings,
        agent_name: str,
        directory: Path,
        graphs: GraphSource,
        pool: Pool,
        memory: LiveMemoryConfig,
        components: Components,
        recent: ConversationCache,
        summaries: Summaries,
        retention: Retention | None,
        metrics: AgentMetrics,
        store: AgentStore | None,
    ) -> None:
        self._settings = settings
        self._agent_name = agent_name
        self._graphs = graphs
        self._pool = pool
        self._memory = memory
        self._components = components
        self._summaries = summaries
        self._retention = retention
        self._metrics = metrics
        self._store = store
        self._directory = directory
        # A thread needs an owner, so an agent without an id answers but remembers nothing.
        self._remembers = settings.memory_enabled and settings.agent_id is not None
        self._recent = recent
        self._serializer = serializer_for(graphs.graph)

    async def run(self, turn: Turn, request: TurnRequest, summary: str | None, put: Put) -> RunResult:
        with self._components.hold() as snapshot:
            turn_context = self._context(turn, request, summary, snapshot)
            durability = self._settings.checkpoint_durability
            saver = self._saver(turn, request, durability) if self._remembers else None
            given = configurable(self._settings.agent_id, request.caller)
            started = time.monotonic()
            try:
                context = self._graphs.contexts.build(turn_context, request.metadata)
            except InvalidValue as error:
                return RunResult(Rejected(str(error)), [], [])
            try:
                place = {"thread_id": turn.thread_id, **given}
                with reporting(self._settings.model or "offline", self._directory):
                    async with self._graphs.opened(place, turn.caller, context, self._store) as graph:
                        run = GraphRun(
                            graph,
                            turn,
                            context,
                            inputs=self._graphs.inputs,
                            configurable=given,
                            saver=saver,
                            store=self._store,
                            durability=durability,
                            put=put,
                        )
                        return await run.run(request)
            finally:
                self._metrics.turn_ran(time.monotonic() - started)

    def _saver(self, turn: Turn, request: TurnRequest, durability: Durability) -> TurnSaver:
        return TurnSaver(
            self._pool,
            turn,
            serializer=self._serializer,
            answers=request.answers,
            durability=durability,
            recent=self._recent,
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

    def after(self, turn: Turn, result: RunResult) -> None:
        report_end(turn, result.outcome, self._metrics.turn_ended(result.outcome))
        if self._remembers and isinstance(result.outcome, Completed):
            self._summaries.consider(turn.thread_id, turn.owner_key, result.messages)
        if self._retention is not None:
            self._retention.consider(turn.thread_id)
