"""Conversations from one of LangGraph's forms into the other: whole (`MessagesState`), or by what each step has
added (a `DeltaChannel`, such as that of `Conversation`)."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from langgraph.checkpoint.serde.types import _DeltaSnapshot

from agent_runtime.errors import AgentStillAlive, ThreadUnreadable
from agent_runtime.retention import store
from agent_runtime.retention.service import ROW_BATCH
from agent_runtime.threads.conversation import STRICT, read_conversation
from agent_runtime.threads.forms import Form
from agent_runtime.threads.service import Threads
from agent_runtime.threads.store import LatestMessages, get_latest_messages, is_agent_alive
from groundwork.postgres.pool import Connection, connection, transaction


@dataclass(frozen=True)
class Conversion:
    """What became of a thread: `converted`, or `why` it was not; with neither there was nothing to do."""

    thread_id: str
    converted: bool = False
    why: str = ""


class Converter:
    """Turns an agent's threads into the form `to`. Every method raises `DatabaseUnavailable`."""

    def __init__(self, threads: Threads, to: Form) -> None:
        self._threads = threads
        self._to = to

    async def run(self, thread_id: str | None = None, *, dry_run: bool = False) -> AsyncIterator[Conversion]:
        """Convert every thread of the agent, or the one, each in a transaction of its own.

        Raises `AgentStillAlive` while a process of the agent runs, which would not know what it reads, and
        `ThreadNotFound` and `ThreadNotOurs` for the one.
        """
        async with connection(self._threads.pool) as conn:
            if await is_agent_alive(conn, self._threads.agent_id, None):
                raise AgentStillAlive(f"a process runs as {self._threads.agent_id!r} right now; stop it first")
        if thread_id is not None:
            yield await self._convert(thread_id, dry_run=dry_run)
            return
        async for page in self._threads.stream_threads():
            for each in page:
                yield await self._convert(each, dry_run=dry_run)

    async def _convert(self, thread_id: str, *, dry_run: bool) -> Conversion:
        async with transaction(self._threads.pool) as conn:
            latest = await get_latest_messages(conn, self._threads.agent_id, thread_id)
            if latest.version is None or latest.checkpoint_id is None:
                return Conversion(thread_id)
            try:
                if _form_of(thread_id, latest) is self._to:
                    return Conversion(thread_id)
                if not await store.lock_threads(conn, self._threads.agent_id, [thread_id]):
                    return Conversion(thread_id, why="something else is at it")
                if await store.list_busy(conn, [thread_id]):
                    return Conversion(thread_id, why="a turn of it has not ended")
                if not dry_run:
                    await self._rewrite(conn, thread_id, latest.checkpoint_id, latest.version)
            except ThreadUnreadable as error:
                return Conversion(thread_id, why=str(error))
        return Conversion(thread_id, converted=True)

    async def _rewrite(self, conn: Connection, thread_id: str, checkpoint_id: str, version: str) -> None:
        # The thread is held and nothing runs in it, so the database stands still as far as it goes.
        messages = await read_conversation(conn, self._threads.agent_id, thread_id, in_snapshot=True)
        if self._to is Form.CONVERSATION:
            await store.put_messages(conn, thread_id, version, STRICT.dumps_typed(_DeltaSnapshot(messages)))
            await store.mark_snapshot(conn, thread_id, checkpoint_id)
            return
        await store.put_messages(conn, thread_id, version, STRICT.dumps_typed(messages))
        await store.forget_delta(conn, thread_id, checkpoint_id)
        # Nobody could read those before it any more, and retention would take the thread for what it was.
        before = {thread_id: checkpoint_id}
        while past := await store.list_past_checkpoints(conn, [thread_id], 1, ROW_BATCH, before):
            await store.prune_checkpoints(conn, past)


def _form_of(thread_id: str, latest: LatestMessages) -> Form:
    if latest.type is None:
        if latest.is_inline and not isinstance(latest.inline_value, bool):
            raise ThreadUnreadable(thread_id, "its messages are in a form of another program")
        return Form.CONVERSATION
    try:
        value = STRICT.loads_typed((latest.type, latest.blob or b""))
    except Exception as error:
        raise ThreadUnreadable(thread_id, type(error).__name__) from error
    return Form.CONVERSATION if isinstance(value, _DeltaSnapshot) else Form.MESSAGES
