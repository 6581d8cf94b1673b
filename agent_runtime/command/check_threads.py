"""`agent-runtime threads check`: load stored threads with the code that is there, before it is deployed."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from agent_runtime.project.file import load_project
from agent_runtime.project.graph import Graph, Graphs, GraphSource, open_graphs
from agent_runtime.threads import store
from agent_runtime.threads.service import Threads
from agent_runtime.turns.state_types import allowed_classes
from groundwork.postgres.checkpoint_check import CheckingSerializer
from groundwork.postgres.pool import DatabaseUnavailable, connection, database_errors


@dataclass(frozen=True)
class Unloadable:
    """Something in a thread's latest state that the code does not load. `step` is that of its checkpoint."""

    thread_id: str
    step: int | None
    what: str
    why: str


class ThreadCheck:
    """A check of an agent's threads against the graphs of a directory, each by the one that has answered in it. It
    writes nothing, and calls no node."""

    def __init__(self, threads: Threads) -> None:
        self._threads = threads
        self._pool = threads.pool
        self.checked = 0

    async def run(self, directory: Path, graph: str | None, sample: int | None) -> AsyncIterator[Unloadable]:
        """Yield what would not load of all threads, or of `sample` that are drawn at random. `graph` reads those
        which do not say which graph has answered in them.

        Raises `BadProject` when a graph itself does not load.
        """
        async with open_graphs(load_project(directory, graph=graph)) as graphs:
            allowed = {id(source): allowed_classes(source.graph) for _, source in graphs.items()}
            async for page in self._pages(sample):
                for thread_id in page:
                    source = await self._source(graphs, thread_id)
                    serializer = CheckingSerializer(allowed[id(source)])
                    for problem in await self._check(source.graph, serializer, thread_id):
                        yield problem
                    self.checked += 1

    async def _source(self, graphs: Graphs, thread_id: str) -> GraphSource:
        if not graphs.are_several:
            return graphs.default
        async with connection(self._pool) as conn:
            name = await store.find_graph(conn, thread_id)
        return (name and graphs.find(name)) or graphs.default

    async def _pages(self, sample: int | None) -> AsyncIterator[list[str]]:
        if sample is None:
            async for page in self._threads.stream_threads():
                yield page
        else:
            yield await self._threads.sample_threads(sample)

    async def _check(self, graph: Graph, serializer: CheckingSerializer, thread_id: str) -> list[Unloadable]:
        place: RunnableConfig = {"configurable": {"thread_id": thread_id, "checkpoint_ns": ""}}
        reading = graph.copy(update={"checkpointer": AsyncPostgresSaver(self._pool, serde=serializer)})
        failed: dict[str, str] = {}
        try:
            with database_errors():
                await reading.aget_state(place, subgraphs=True)
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - reducers and schemas are the project's, and raise what they like
            failed["state"] = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        found = {**serializer.problems, **failed}
        if not found:
            return []
        async with connection(self._pool) as conn:
            step = await store.find_last_step(conn, thread_id)
        return [Unloadable(thread_id, step, what, why) for what, why in sorted(found.items())]
