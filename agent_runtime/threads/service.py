"""What can be asked of an agent's threads, from the admin API and from the command line."""

import asyncio
import base64
import binascii
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol
from uuid import UUID

import anyio
from langchain_core.messages import BaseMessage

from agent_runtime.errors import AgentStillAlive, InvalidValue, MigrationConcernsOthers
from agent_runtime.memory.graph_store import count_of_caller, count_part, erase_of_caller, erase_part, rename_part
from agent_runtime.settings import is_identifier
from agent_runtime.threads import steps, store
from agent_runtime.threads.conversation import read_conversation
from agent_runtime.threads.erasure import STORE, Erasure
from agent_runtime.threads.ids import is_thread_id
from agent_runtime.threads.peers import PeerTask, list_peer_tasks
from groundwork.postgres.pool import Connection, Pool, connection

ERASE_BATCH = 200
ADOPT_BATCH = 500
SWEEP_BATCH = 500

_CURSOR_FORMAT = b"\x01"


class _ListPage(Protocol):
    async def __call__(self, conn: Connection, *, after: int, limit: int) -> list[store.ListedThread]: ...


@dataclass(frozen=True)
class ThreadPage:
    """`states` is there when it was asked for: what each thread is doing."""

    threads: list[str]
    next_cursor: str | None
    states: dict[str, store.ThreadState] | None = None


@dataclass(frozen=True)
class MessagePage:
    """`next_before` is the `before` of the page with the messages before these; `None`: there are none."""

    messages: list[BaseMessage]
    next_before: int | None


class Threads:
    """The threads of one agent. Nothing here shows, changes or deletes a thread of anybody else's.

    `forget` is told which threads were deleted, once they are, so that this process stops working on them, and
    `tell` which peers were asked in them.
    Every method raises `DatabaseUnavailable` when the database cannot be used.
    """

    def __init__(
        self,
        pool: Pool,
        agent_id: str,
        *,
        forget: Callable[[Sequence[str]], None],
        tell: Callable[[Sequence[PeerTask]], None] = lambda asked: None,
        process_id: UUID | None = None,
    ) -> None:
        self._pool = pool
        self._agent_id = agent_id
        self._forget = forget
        self._tell = tell
        self._process_id = process_id

    async def list_threads(self, limit: int, cursor: str | None, *, states: bool = False) -> ThreadPage:
        """The next page in order of creation. Raises `InvalidValue` for a cursor that no page gave out."""
        if limit < 1:
            raise InvalidValue("limit", f"limit must be at least 1, not {limit}")
        after = 0 if cursor is None else _decode_cursor(cursor)
        async with self._connection() as conn:
            threads = await store.list_threads(conn, self._agent_id, after, limit + 1)
            shown = [thread.thread_id for thread in threads[:limit]]
            states_shown = await store.list_states(conn, shown) if states else None
        more = len(threads) > limit
        return ThreadPage(shown, _encode_cursor(threads[limit - 1].position) if more else None, states_shown)

    async def stream_threads(self, page_size: int = 1000) -> AsyncIterator[list[str]]:
        """All threads, in order of creation, a page at a time; no connection is held between pages."""
        after = 0
        while True:
            # A page takes milliseconds. A reader that leaves in the middle of it would cost the connection,
            # and PgBouncer before 1.20 its life: it does not survive a cancel request that is given up.
            with anyio.CancelScope(shield=True):
                async with self._connection() as conn:
                    threads = await store.list_threads(conn, self._agent_id, after, page_size)
            if threads:
                yield [thread.thread_id for thread in threads]
                after = threads[-1].position
            if len(threads) < page_size:
                return

    @property
    def pool(self) -> Pool:
        """The pool of the database that the threads are in."""
        return self._pool

    @property
    def agent_id(self) -> str:
        """The agent whose threads these are."""
        return self._agent_id

    async def sample_threads(self, size: int) -> list[str]:
        """Return so many of the threads, drawn at random."""
        async with self._connection() as conn:
            return await store.sample_threads(conn, self._agent_id, size)

    async def get_messages(
        self, thread_id: str, limit: int | None = None, before: int | None = None
    ) -> MessagePage:
        """The conversation, or the last `limit` messages of those before index `before`.

        Raises `ThreadNotFound`, `ThreadNotOurs`, `ThreadUnreadable`, and `InvalidValue` for bad arguments.
        """
        _check_thread_id(thread_id)
        if limit is not None and limit < 1:
            raise InvalidValue("limit", f"limit must be at least 1, not {limit}")
        if before is not None and before < 0:
            raise InvalidValue("before", f"before must be the index of a message, not {before}")
        async with self._connection() as conn:
            messages = await read_conversation(conn, self._agent_id, thread_id)
        end = len(messages) if before is None else min(before, len(messages))
        start = 0 if limit is None else max(0, end - limit)
        return MessagePage(messages[start:end], start or None)

    async def list_steps(
        self, thread_id: str, limit: int, before: str | None = None
    ) -> tuple[list[steps.Step], str | None]:
        """The latest steps of the graph in the thread, newest first, and the `before` of the next page. Raises
        `ThreadNotFound`, `ThreadNotOurs`, `ThreadUnreadable`, and `InvalidValue` for bad arguments."""
        _check_thread_id(thread_id)
        async with self._connection() as conn:
            return await steps.list_steps(conn, self._agent_id, thread_id, limit, before)

    async def get_state(self, thread_id: str, checkpoint_id: str) -> dict[str, Any]:
        """The state after a step. Raises as `list_steps` does, and `StepNotFound`."""
        _check_thread_id(thread_id)
        async with self._connection() as conn, conn.transaction():
            await store.read_one_snapshot(conn)
            return await steps.get_state(conn, self._agent_id, thread_id, checkpoint_id)

    async def delete_thread(self, thread_id: str, *, dry_run: bool = False) -> Erasure:
        """Removes everything that is stored of the thread; a turn that is running for it can write no more. With
        `dry_run`, says what that would be.

        Raises `ThreadNotFound` and `ThreadNotOurs`.
        """
        _check_thread_id(thread_id)
        async with self._connection() as conn, conn.transaction():
            if dry_run:
                await store.read_one_snapshot(conn)
                if not await store.is_owned(conn, self._agent_id, thread_id):
                    raise await store.why_not_ours(conn, thread_id)
                erasure = await store.count_rows(conn, self._agent_id, [thread_id])
                return erasure + _asking(await list_peer_tasks(conn, [thread_id]))
            if not await store.lock_threads(conn, self._agent_id, [thread_id]):
                raise await store.why_not_ours(conn, thread_id)
            asked = await list_peer_tasks(conn, [thread_id])
            erasure = await store.erase_threads(conn, self._agent_id, [thread_id])
        self._forget([thread_id])
        self._tell(asked)
        return erasure + _asking(asked)

    async def delete_all(self, *, dry_run: bool = False) -> Erasure:
        """Remove every thread that the agent had when this was called, some at a time, and all that it has stored
        beyond threads.

        When it breaks off, what is left is whole, and another call goes on with it.
        """
        erasure = await self._erase(partial(store.list_threads, agent_id=self._agent_id), dry_run)
        async with self._connection() as conn:
            of_the_part = count_part if dry_run else erase_part
            return erasure + Erasure({STORE: await of_the_part(conn, self._agent_id)})

    async def delete_of_caller(self, caller: str, *, dry_run: bool = False) -> Erasure:
        """Removes every thread that the caller has opened up to now, some at a time, as `delete_all` does, and
        what the agent has stored under the caller's name.

        Raises `InvalidValue` for the anonymous caller, who may be anybody.
        """
        if not caller:
            raise InvalidValue(
                "caller", "caller must be the name of a caller; threads of anonymous ones have none"
            )
        pages = partial(store.list_threads_of_caller, agent_id=self._agent_id, caller=caller)
        erasure = await self._erase(pages, dry_run)
        async with self._connection() as conn:
            of_the_caller = count_of_caller if dry_run else erase_of_caller
            return erasure + Erasure({STORE: await of_the_caller(conn, self._agent_id, caller)})

    async def _erase(self, list_page: _ListPage, dry_run: bool) -> Erasure:
        erasure = Erasure()
        async with self._connection() as conn:
            last = await store.find_last_position(conn, self._agent_id)
        after = 0
        while last is not None and after < last:
            async with self._connection() as conn, conn.transaction():
                batch = await list_page(conn, after=after, limit=ERASE_BATCH)
                thread_ids = [thread.thread_id for thread in batch if thread.position <= last]
                if not dry_run:
                    thread_ids = await store.lock_threads(conn, self._agent_id, thread_ids)
                asked = await list_peer_tasks(conn, thread_ids)
                work = store.count_rows if dry_run else store.erase_threads
                erasure += await work(conn, self._agent_id, thread_ids) + _asking(asked)
            if not dry_run:
                self._forget(thread_ids)
                self._tell(asked)
            after = batch[-1].position if batch else last
        return erasure

    async def migrate_agent_id(self, old_id: str, new_id: str, force: bool = False) -> int:
        """Moves every thread of `old_id` to `new_id`, all at once, and returns how many. They are counted once
        they have moved, and turns go on: one that `new_id` deletes in that moment is not among them.

        Raises `InvalidValue` for ids that are no ids or the same, `MigrationConcernsOthers` when neither is this
        agent's, and `AgentStillAlive` when another process runs under `old_id`, unless `force` is set.
        """
        for field, value in (("old_id", old_id), ("new_id", new_id)):
            if not is_identifier(value):
                raise InvalidValue(
                    field, f"{field} must be 1 to 255 printable characters without blanks or slashes"
                )
        if old_id == new_id:
            raise InvalidValue("new_id", f"new_id must differ from old_id; both are {old_id!r}")
        if self._agent_id not in (old_id, new_id):
            raise MigrationConcernsOthers(
                f"one of the ids must be this agent's own, {self._agent_id!r}; they are {old_id!r} and {new_id!r}"
            )
        async with self._connection() as conn, conn.transaction():
            if not force and await store.is_agent_alive(conn, old_id, self._process_id):
                raise AgentStillAlive(
                    f"another process runs as {old_id!r} right now; stop it first, or repeat with force"
                )
            moved = await store.move_owner_keys(conn, old_id, new_id)
            await rename_part(conn, old_id, new_id)
        async with self._connection() as conn:
            return await store.count_threads_of_keys(conn, moved)

    async def claim(self, thread_id: str, caller: str = "") -> None:
        """Makes the thread this agent's. For hosts that run their graph themselves: to be called before the graph
        is, each time. A thread that nobody owns is taken on with the checkpoints it has.

        Raises `ThreadNotOurs`, `ThreadOfAnotherCaller`, and `InvalidValue` for what cannot be a thread id.
        """
        _check_thread_id(thread_id)
        async with self._connection() as conn, conn.transaction():
            await store.claim_thread(conn, self._agent_id, thread_id, caller, adopt=True)

    async def adopt(self, prefix: str = "", dry_run: bool = False) -> int:
        """Claims threads that other LangGraph programs have written, and those of an agent that ran without an
        id, as far as their ids begin with `prefix`. Returns how many; with `dry_run`, how many it would be.
        """
        return await self._adopt_unowned(prefix, dry_run) + await self._adopt_unnamed(prefix, dry_run)

    async def sweep_orphans(self, dry_run: bool, settle_seconds: float = 5.0) -> dict[str, int]:
        """Removes blobs and writes of threads that have neither a checkpoint nor an owner, and counts them.

        A program that is just starting a thread may store a write before the checkpoint it belongs to, so rows
        are only removed when they are still alone after `settle_seconds`.
        """
        swept: Counter[str] = Counter(checkpoint_blobs=0, checkpoint_writes=0)
        after = ""
        while True:
            async with self._connection() as conn:
                orphans = await store.list_orphans(conn, after, SWEEP_BATCH)
                if dry_run:
                    swept.update(await store.count_orphans(conn, orphans))
            if orphans and not dry_run:
                await asyncio.sleep(settle_seconds)
                async with self._connection() as conn, conn.transaction():
                    swept.update(await store.sweep_orphans(conn, orphans))
            if len(orphans) < SWEEP_BATCH:
                return dict(swept)
            after = orphans[-1]

    async def _adopt_unowned(self, prefix: str, dry_run: bool) -> int:
        adopted, after = 0, ""
        while True:
            async with self._connection() as conn, conn.transaction():
                found = await store.list_unowned_threads(conn, prefix, after, ADOPT_BATCH)
                # Oldest first, so that the listing shows them in the order in which they came to be.
                ordered = [thread_id for thread_id, _ in sorted(found, key=lambda thread: thread[1])]
                usable = [thread_id for thread_id in ordered if is_thread_id(thread_id)]
                if dry_run:
                    adopted += len(usable)
                elif usable:
                    owner_key = await store.ensure_owner_key(conn, self._agent_id)
                    adopted += await store.adopt_unowned_threads(conn, owner_key, usable)
            if len(found) < ADOPT_BATCH:
                return adopted
            after = found[-1][0]

    async def _adopt_unnamed(self, prefix: str, dry_run: bool) -> int:
        adopted, after = 0, ""
        while True:
            async with self._connection() as conn, conn.transaction():
                found = await store.list_unnamed_threads(conn, prefix, after, ADOPT_BATCH)
                if dry_run:
                    adopted += len(found)
                elif found:
                    owner_key = await store.ensure_owner_key(conn, self._agent_id)
                    locked = await store.lock_threads(conn, "", found)
                    await store.rekey_threads(conn, owner_key, locked)
                    adopted += len(locked)
            if len(found) < ADOPT_BATCH:
                return adopted
            after = found[-1]

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        async with connection(self._pool) as conn:
            yield conn


def _asking(asked: Sequence[PeerTask]) -> Erasure:
    return Erasure(peers=frozenset(task.peer for task in asked))


def _check_thread_id(thread_id: str) -> None:
    if not is_thread_id(thread_id):
        raise InvalidValue("thread_id", "thread_id must be 1 to 255 characters, none of them a control character")


def _encode_cursor(position: int) -> str:
    return base64.urlsafe_b64encode(_CURSOR_FORMAT + position.to_bytes(8)).decode()


def _decode_cursor(cursor: str) -> int:
    try:
        data = base64.b64decode(cursor, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        data = b""
    position = int.from_bytes(data[1:], signed=True)
    if len(data) != 9 or not data.startswith(_CURSOR_FORMAT) or position < 1:
        raise InvalidValue("cursor", "cursor must be the next_cursor of a page before")
    return position
