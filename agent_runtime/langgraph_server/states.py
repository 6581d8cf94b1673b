"""What is stored of a thread, as the graph sees it, and changes to it from outside."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import psycopg
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.errors import InvalidUpdateError
from langgraph.types import Interrupt, StateSnapshot, StateUpdate

from agent_runtime.errors import InvalidValue
from agent_runtime.langgraph_server.assistants import Assistant
from agent_runtime.project.graph import Graph
from agent_runtime.turns.saver import stay_ahead_of
from groundwork.postgres.pool import Connection, DatabaseUnavailable, Pool, database_errors

logger = logging.getLogger(__name__)

Json = dict[str, Any]

HISTORY_BATCH = 4
"""How many states of a thread are in memory at a time, beside those that are shown."""

CHANGE_SECONDS = 30.0
"""How long the graph's own code may take over a change, during which its thread stands still."""


class ThreadStates:
    """The states of an agent's threads. Whose a thread is has been seen to before."""

    def __init__(self, pool: Pool, *, remembers: bool) -> None:
        self._pool = pool
        self._remembers = remembers

    async def get(self, assistant: Assistant, place: Json, *, subgraphs: bool = False) -> StateSnapshot | None:
        """Return the state at `place`: a thread's id, and where else than at its end. `None` where nothing is
        stored. Raises `InvalidValue` for a namespace that the graph does not have."""
        async with self._opened(assistant, self._pool) as graph:
            state = await _get(graph, {"configurable": {"checkpoint_ns": "", **place}}, subgraphs)
        return state if state is not None and state.created_at is not None else None

    async def stream_history(
        self,
        assistant: Assistant,
        place: Json,
        *,
        limit: int,
        before: str | None,
        metadata: Mapping[str, Any] | None,
    ) -> AsyncGenerator[StateSnapshot]:
        """Yield the states that led to the one at `place`, newest first. Raises as `get` does."""
        config: RunnableConfig = {"configurable": {"checkpoint_ns": "", **place}}
        earlier: RunnableConfig | None = {"configurable": {**place, "checkpoint_id": before}} if before else None
        async with self._opened(assistant, self._pool) as graph:
            while graph.checkpointer is not None and limit > 0:
                # The saver reads all that it is asked for before it gives the first.
                asked = min(limit, HISTORY_BATCH)
                with _namespace_errors():
                    found = [
                        state
                        async for state in graph.aget_state_history(
                            config, filter=dict(metadata) if metadata else None, before=earlier, limit=asked
                        )
                    ]
                for state in found:
                    yield state
                if len(found) < asked:
                    return
                earlier, limit = found[-1].config, limit - asked

    async def change(
        self, conn: Connection, assistant: Assistant, place: Json, values: Any, as_node: str | None
    ) -> tuple[Json, StateSnapshot | None]:
        """In a transaction that holds the thread, in which nothing is in flight: write `values` as `as_node`.

        Returns the place of the new checkpoint, and the state there. Raises `InvalidValue`.
        """
        return await self._changed(
            conn, assistant, place, lambda graph, config: graph.aupdate_state(config, values, as_node)
        )

    async def replay(
        self, conn: Connection, assistant: Assistant, thread_id: str, supersteps: Sequence[Sequence[StateUpdate]]
    ) -> None:
        """In a transaction that holds the thread: write what other runs have written, step by step."""
        await self._changed(
            conn,
            assistant,
            {"thread_id": thread_id},
            lambda graph, config: graph.abulk_update_state(config, supersteps),
        )

    async def _changed(
        self, conn: Connection, assistant: Assistant, place: Json, work: Any
    ) -> tuple[Json, StateSnapshot | None]:
        thread: RunnableConfig = {"configurable": {"thread_id": place["thread_id"], "checkpoint_ns": ""}}
        async with self._opened(assistant, conn) as graph:
            if not isinstance(graph.checkpointer, BaseCheckpointSaver):
                raise InvalidValue("values", "the agent keeps no conversations, so there is no state to change")
            if latest := await graph.checkpointer.aget_tuple(thread):
                stay_ahead_of(latest.checkpoint["id"])
            try:
                async with asyncio.timeout(CHANGE_SECONDS):
                    made = await work(graph, {"configurable": {"checkpoint_ns": "", **place}})
            except InvalidUpdateError as error:
                raise InvalidValue("as_node", str(error)) from error
            except (DatabaseUnavailable, psycopg.Error):
                raise
            except Exception as error:
                # Reducers, branches and the classes of states are the project's own, and raise what they like.
                logger.warning("changing a state failed thread_id=%s", place["thread_id"], exc_info=error)
                what = f"the graph does not take this change: it raised {type(error).__name__}"
                raise InvalidValue("values", what) from error
            return made["configurable"], await _get(graph, thread, False)

    @asynccontextmanager
    async def _opened(self, assistant: Assistant, where: Pool | Connection) -> AsyncIterator[Graph]:
        """The graph with what is stored, for one request."""
        with database_errors():
            saver = AsyncPostgresSaver(where, serde=assistant.source.serializer) if self._remembers else None
            yield assistant.graph.copy(update={"checkpointer": saver})


async def _get(graph: Graph, config: RunnableConfig, subgraphs: bool) -> StateSnapshot | None:
    if graph.checkpointer is None:
        return None
    with _namespace_errors():
        return await graph.aget_state(config, subgraphs=subgraphs)


@contextmanager
def _namespace_errors() -> Iterator[None]:
    """LangGraph raises a bare ValueError for a subgraph that it does not have."""
    try:
        yield
    except ValueError as error:
        if "ubgraph" not in str(error):
            raise
        raise InvalidValue("checkpoint.checkpoint_ns", str(error)) from error


NO_STATE: Json = {
    "values": {},
    "next": [],
    "tasks": [],
    "metadata": None,
    "created_at": None,
    "checkpoint": None,
    "parent_checkpoint": None,
    "interrupts": [],
    "checkpoint_id": None,
    "parent_checkpoint_id": None,
}


def describe_state(state: StateSnapshot) -> Json:
    """Return the state as clients read it."""
    checkpoint, parent = _place_of(state.config), _place_of(state.parent_config)
    return {
        "values": state.values,
        "next": state.next,
        "tasks": [
            {
                "id": task.id,
                "name": task.name,
                "path": task.path,
                "error": repr(task.error) if isinstance(task.error, BaseException) else task.error,
                "interrupts": [describe_interrupt(one) for one in task.interrupts],
                "checkpoint": None
                if task.state is None or isinstance(task.state, StateSnapshot)
                else _place_of(task.state),
                "state": describe_state(task.state) if isinstance(task.state, StateSnapshot) else None,
                "result": task.result,
            }
            for task in state.tasks
        ],
        "metadata": state.metadata,
        "created_at": state.created_at,
        "checkpoint": checkpoint,
        "parent_checkpoint": parent,
        "interrupts": [describe_interrupt(one) for one in state.interrupts],
        "checkpoint_id": checkpoint and checkpoint.get("checkpoint_id"),
        "parent_checkpoint_id": parent and parent.get("checkpoint_id"),
    }


def describe_interrupt(interrupt: Interrupt) -> Json:
    return {"id": interrupt.id, "value": interrupt.value}


def interrupts_by_task(state: StateSnapshot) -> Json:
    return {
        task.id: [describe_interrupt(one) for one in task.interrupts] for task in state.tasks if task.interrupts
    }


def result_of(state: StateSnapshot | None) -> Any:
    """Return what a run that has come to this state answers with."""
    if state is None:
        return {}
    if not state.interrupts or not isinstance(state.values, dict):
        return state.values
    return {**state.values, "__interrupt__": list(state.interrupts)}


def _place_of(config: RunnableConfig | None) -> Json | None:
    if config is None:
        return None
    return {
        key: value
        for key, value in config["configurable"].items()
        if key in ("thread_id", "checkpoint_ns", "checkpoint_id", "checkpoint_map")
    }
