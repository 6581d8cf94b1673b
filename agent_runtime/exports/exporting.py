"""Threads on their way out."""

from collections.abc import AsyncIterator
from functools import partial

import anyio

from agent_runtime.errors import ThreadNotFound
from agent_runtime.exports.lines import thread_lines
from agent_runtime.threads import store
from groundwork.postgres.pool import Pool, connection, transaction

PAGE = 200

_IN_MEMORY = 1024 * 1024
_CHUNK = 256 * 1024


class Exports:
    """The threads of one agent as JSON lines, in constant memory.

    The lines of a thread are written to a temporary file, in one snapshot of the database, and sent from there: a
    reader that is slow holds no connection. Every method raises `DatabaseUnavailable`.
    """

    def __init__(self, pool: Pool, agent_id: str) -> None:
        self._pool = pool
        self._agent_id = agent_id

    async def check(self, thread_id: str) -> None:
        """Raise `ThreadNotFound` or `ThreadNotOurs` for a thread that cannot be exported."""
        async with connection(self._pool) as conn:
            if not await store.is_owned(conn, self._agent_id, thread_id):
                raise await store.why_not_ours(conn, thread_id)

    async def export_thread(self, thread_id: str) -> AsyncIterator[bytes]:
        """Yield a thread's lines. Raises `ThreadNotFound`."""
        async with anyio.SpooledTemporaryFile(max_size=_IN_MEMORY) as file:
            # A reader that leaves in the middle would cost the connection: see `Threads.stream_threads`.
            with anyio.CancelScope(shield=True):
                async with transaction(self._pool) as conn:
                    await store.read_one_snapshot(conn)
                    async for line in thread_lines(conn, self._agent_id, thread_id):
                        await file.write(line)
            await file.seek(0)
            while chunk := await file.read(_CHUNK):
                yield chunk

    async def export_all(self, caller: str | None = None) -> AsyncIterator[bytes]:
        """Yield the lines of every thread that there was when this was called, in order of creation, or of those
        that the caller has opened. One that is erased meanwhile is left out."""
        list_page = partial(store.list_threads, agent_id=self._agent_id)
        if caller is not None:
            list_page = partial(store.list_threads_of_caller, agent_id=self._agent_id, caller=caller)
        async with connection(self._pool) as conn:
            last = await store.find_last_position(conn, self._agent_id)
        after = 0
        while last is not None and after < last:
            async with connection(self._pool) as conn:
                page = await list_page(conn, after=after, limit=PAGE)
            for thread in page:
                if thread.position <= last:
                    async for chunk in self._unless_erased(thread.thread_id):
                        yield chunk
            after = page[-1].position if page else last

    async def _unless_erased(self, thread_id: str) -> AsyncIterator[bytes]:
        try:
            async for chunk in self.export_thread(thread_id):
                yield chunk
        except ThreadNotFound:
            return
