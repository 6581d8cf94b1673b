"""The threads of one caller: found and changed by what they are called, their state read and written."""

import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any
from uuid import uuid4

from langgraph.types import StateSnapshot, StateUpdate

from agent_runtime.errors import InvalidValue, ThreadBusy, ThreadExists, ThreadNotFound
from agent_runtime.langgraph_server import store
from agent_runtime.langgraph_server.assistants import Assistant, Assistants
from agent_runtime.langgraph_server.extracting import extract
from agent_runtime.langgraph_server.models import (
    CheckpointConfig,
    Json,
    StateHistory,
    ThreadCreate,
    ThreadMatch,
    ThreadSearch,
)
from agent_runtime.langgraph_server.models import (
    StateUpdate as StateUpdateBody,
)
from agent_runtime.langgraph_server.recorder import RunRecorder
from agent_runtime.langgraph_server.service import Runs
from agent_runtime.langgraph_server.states import NO_STATE, ThreadStates, describe_state, interrupts_by_task
from agent_runtime.langgraph_server.temporary import ThreadEraser
from agent_runtime.threads.callers import (
    ThreadFilter,
    ThreadRow,
    copy_checkpoints,
    count_matching_threads,
    create_thread,
    get_callers_thread,
    lock_callers_thread,
    merge_metadata,
    search_threads,
    touch_thread,
)
from agent_runtime.threads.store import list_states
from agent_runtime.turns.graph_call import command_of
from agent_runtime.turns.stream_frames import encoded
from groundwork.bounds import PAGE_BYTES
from groundwork.postgres.pool import Connection, Pool, connection, transaction

_STORED_WITH_THE_STATE = frozenset({"values", "interrupts", "state_updated_at"})


class CallersThreads:
    """What a caller can ask of its threads. Every method raises `ThreadNotFound` for somebody else's."""

    def __init__(
        self,
        pool: Pool,
        agent_id: str,
        assistants: Assistants,
        states: ThreadStates,
        recorder: RunRecorder,
        runs: Runs,
        threads: ThreadEraser,
    ) -> None:
        self._pool = pool
        self._agent_id = agent_id
        self._assistants = assistants
        self._states = states
        self._recorder = recorder
        self._runs = runs
        self._threads = threads

    # Threads

    async def create(self, body: ThreadCreate, caller: str) -> Json:
        """Raises `ThreadExists`, `ThreadNotOurs`, `ThreadUnclaimed`."""
        thread_id = body.thread_id or str(uuid4())
        try:
            async with transaction(self._pool) as conn:
                await create_thread(conn, self._agent_id, caller, thread_id, body.metadata or {})
                if body.supersteps:
                    await self._replay(conn, thread_id, body)
        except ThreadExists:
            if body.if_exists != "do_nothing":
                raise
        return await self.get(thread_id, caller)

    async def get(self, thread_id: str, caller: str) -> Json:
        async with connection(self._pool) as conn:
            thread = await get_callers_thread(conn, self._agent_id, caller, thread_id)
            (described,) = await self._without_state(conn, [thread])
        return await self._with_state(thread, described)

    async def patch(self, thread_id: str, caller: str, metadata: Mapping[str, Any]) -> Json:
        async with transaction(self._pool) as conn:
            await lock_callers_thread(conn, self._agent_id, caller, thread_id)
            await merge_metadata(conn, thread_id, metadata)
            await touch_thread(conn, thread_id)
        return await self.get(thread_id, caller)

    async def search(self, body: ThreadSearch, caller: str) -> tuple[list[str], bool]:
        """Return a page as JSON of each thread, at most `PAGE_BYTES` or one, and whether there are more."""
        wanted = self._filter(body, caller)
        sort_by = body.sort_by or "updated_at"
        order = f"{'updated_at' if sort_by == 'state_updated_at' else sort_by} {body.sort_order or 'desc'}"
        async with connection(self._pool) as conn:
            found = await search_threads(conn, wanted, order=order, limit=body.limit + 1, offset=body.offset)
            rows = found[: body.limit]
            described = await self._without_state(conn, rows)
        with_state = body.select is None or body.extract or _STORED_WITH_THE_STATE & set(body.select)
        page = Page()
        for row, one in zip(rows, described, strict=True):
            if with_state:
                one = await self._with_state(row, one)
            if not page.takes(_shown(one, body)):
                break
        return page.items, len(found) > len(page.items)

    async def count(self, body: ThreadMatch, caller: str) -> int:
        async with connection(self._pool) as conn:
            return await count_matching_threads(conn, self._filter(body, caller))

    async def copy(self, thread_id: str, caller: str) -> Json:
        """Make a thread of what is stored of this one now."""
        copy_id = str(uuid4())
        async with transaction(self._pool) as conn:
            await lock_callers_thread(conn, self._agent_id, caller, thread_id)
            thread = await get_callers_thread(conn, self._agent_id, caller, thread_id)
            await create_thread(conn, self._agent_id, caller, copy_id, thread.metadata)
            await copy_checkpoints(conn, thread_id, copy_id)
        return await self.get(copy_id, caller)

    async def delete(self, thread_id: str, caller: str) -> None:
        async with connection(self._pool) as conn:
            await get_callers_thread(conn, self._agent_id, caller, thread_id)
        await self._threads.delete_thread(thread_id)

    async def prune(self, thread_ids: Iterable[str], caller: str) -> int:
        """Return how many of them there were."""
        pruned = 0
        for thread_id in dict.fromkeys(thread_ids):
            try:
                await self.delete(thread_id, caller)
            except ThreadNotFound:
                continue
            pruned += 1
        return pruned

    # Their states

    async def state(self, thread_id: str, caller: str, checkpoint: CheckpointConfig, *, subgraphs: bool) -> Json:
        """Raises `InvalidValue` for a namespace that the graph does not have."""
        assistant = await self._assistant(thread_id, caller)
        place = _place(thread_id, checkpoint)
        state = await self._states.get(assistant, place, subgraphs=subgraphs)
        if state is not None:
            return describe_state(state)
        return {**NO_STATE, "checkpoint_id": checkpoint.checkpoint_id}

    async def history(self, thread_id: str, caller: str, body: StateHistory) -> list[str]:
        """Return the newest states as JSON of each, at most `PAGE_BYTES` or one. Raises as `state` does."""
        assistant = await self._assistant(thread_id, caller)
        found = self._states.stream_history(
            assistant,
            _place(thread_id, body.checkpoint or CheckpointConfig()),
            limit=body.limit,
            before=_checkpoint_id(body.before),
            metadata=body.metadata,
        )
        page = Page()
        async with aclosing(found):
            async for state in found:
                if not page.takes(describe_state(state)):
                    break
        return page.items

    async def change_state(self, thread_id: str, caller: str, body: StateUpdateBody) -> Json:
        """Write to the thread in its order: while something is in flight in it, that is refused.

        Raises `ThreadBusy`, `InvalidValue`.
        """
        place = _place(thread_id, body.checkpoint or CheckpointConfig(checkpoint_id=body.checkpoint_id))
        async with transaction(self._pool) as conn:
            owner_key = await lock_callers_thread(conn, self._agent_id, caller, thread_id)
            thread = await get_callers_thread(conn, self._agent_id, caller, thread_id)
            if await store.list_turn_tasks(conn, thread_id):
                raise ThreadBusy(thread_id)
            assistant = self._runs.assistant_of(thread)
            made, state = await self._states.change(conn, assistant, place, body.values, body.as_node)
            announce = await self._close(conn, owner_key, thread_id, state)
            await touch_thread(conn, thread_id)
        if announce is not None:
            announce()
        checkpoint = {key: made.get(key) for key in ("thread_id", "checkpoint_ns", "checkpoint_id")}
        return {"checkpoint": checkpoint, "configurable": checkpoint, "checkpoint_id": made.get("checkpoint_id")}

    # Common ground

    async def _close(self, conn: Connection, owner_key: int, thread_id: str, state: StateSnapshot | None) -> Any:
        """A question that the change has answered, or done away with, is asked no longer."""
        if state is None or state.next:
            return None
        return await self._recorder.close_waiting(conn, owner_key, thread_id)

    async def _replay(self, conn: Connection, thread_id: str, body: ThreadCreate) -> None:
        steps = [
            [StateUpdate(_written(update), update.get("as_node")) for update in superstep.get("updates", ())]
            for superstep in body.supersteps or ()
        ]
        await self._states.replay(conn, self._runs.assistant_in(body.metadata or {}), thread_id, steps)

    async def _assistant(self, thread_id: str, caller: str) -> Assistant:
        async with connection(self._pool) as conn:
            return self._runs.assistant_of(await get_callers_thread(conn, self._agent_id, caller, thread_id))

    def _filter(self, body: ThreadMatch, caller: str) -> ThreadFilter:
        if body.values:
            raise InvalidValue(
                "values", "threads cannot be searched by their values; metadata, status and ids can be"
            )
        metadata = dict(body.metadata or {})
        default = self._assistants.default
        names = {"graph_id": default.graph_id, "assistant_id": default.assistant_id}
        implied = {key: metadata.pop(key) for key, value in names.items() if metadata.get(key) == value}
        return ThreadFilter(self._agent_id, caller, body.ids, metadata, implied, body.status)

    async def _without_state(self, conn: Connection, threads: Sequence[ThreadRow]) -> list[Json]:
        statuses = await list_states(conn, [thread.thread_id for thread in threads])
        described = []
        for thread in threads:
            status = statuses.get(thread.thread_id, "idle")
            error = await store.find_last_error(conn, thread.thread_id) if status == "error" else None
            described.append(
                {
                    "thread_id": thread.thread_id,
                    "created_at": thread.created_at,
                    "updated_at": thread.updated_at,
                    "state_updated_at": thread.updated_at,
                    "metadata": thread.metadata,
                    "status": status,
                    "config": {},
                    "values": None,
                    "interrupts": {},
                    "error": error,
                }
            )
        return described

    async def _with_state(self, thread: ThreadRow, described: Json) -> Json:
        state = await self._states.get(self._runs.assistant_of(thread), {"thread_id": thread.thread_id})
        if state is None:
            return described
        interrupts = interrupts_by_task(state) if described["status"] == "interrupted" else {}
        return {
            **described,
            "values": state.values,
            "interrupts": interrupts,
            "state_updated_at": state.created_at,
        }


class Page:
    """What is answered of a list: JSON of each item, until they are too many bytes."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self._bytes = 0

    def takes(self, item: Json) -> bool:
        """Return whether there was room for the item. The first one always has it."""
        text = encoded(item)
        self._bytes += len(text)
        if self.items and self._bytes > PAGE_BYTES:
            return False
        self.items.append(text)
        return True


def _place(thread_id: str, checkpoint: CheckpointConfig) -> Json:
    return {"thread_id": thread_id, "checkpoint_ns": "", **checkpoint.model_dump(exclude_none=True)}


def _checkpoint_id(before: Json | str | None) -> str | None:
    if isinstance(before, dict):
        nested = before.get("configurable")
        before = (nested if isinstance(nested, dict) else before).get("checkpoint_id")
    return before if isinstance(before, str) else None


def _written(update: Json) -> Any:
    command = update.get("command")
    return command_of(command) if isinstance(command, dict) else update.get("values")


def _shown(thread: Json, body: ThreadSearch) -> Json:
    fields = body.select
    shown = thread if fields is None else {key: value for key, value in thread.items() if key in fields}
    if body.extract:
        told = json.loads(encoded(thread))
        shown = {**shown, "extracted": {name: extract(told, path) for name, path in body.extract.items()}}
    return shown
