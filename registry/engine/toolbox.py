"""What a worker works with; opened with it, closed with it."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from groundwork.postgres.pool import Connection, Pool
from registry.engine.graph import CompiledGraph, compile_graph
from registry.engine.plan import Plan
from registry.engine.visits import Executor
from registry.executions.starting import Starter
from registry.queue.jobs import Jobs
from registry.settings import RegistrySettings
from registry.workflows import store as workflows
from registry.workflows.parts import Part

_GRAPHS_KEPT = 256


@dataclass(frozen=True)
class Compiled:
    """A revision of a workflow, ready to run."""

    plan: Plan
    graph: CompiledGraph


@dataclass
class WorkerContext:
    """The same for all executions that a worker takes up."""

    settings: RegistrySettings
    pool: Pool
    jobs: Jobs
    executors: Mapping[type[Part], Executor]
    worker_id: str
    starter: Starter = field(init=False)
    _compiled: dict[int, Compiled] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.starter = Starter(self.jobs)

    async def compiled(self, conn: Connection, revision_id: int) -> Compiled:
        """A revision never changes, so what was made of it is kept."""
        found = self._compiled.get(revision_id)
        if found is None:
            stored = await workflows.get_revision(conn, revision_id)
            plan = Plan(await self.starter.reader.read(stored))
            found = Compiled(plan, compile_graph(plan))
            while len(self._compiled) >= _GRAPHS_KEPT:
                self._compiled.pop(next(iter(self._compiled)))
            self._compiled[revision_id] = found
        return found
