"""What is noted of the calls of a peer, and what a peer is told when these are erased."""

import asyncio
import logging
from collections.abc import Sequence

from a2a.client import Client
from a2a.types import CancelTaskRequest, Task, TaskState
from langchain_core.runnables.config import ensure_config

from agent_runtime.threads.peers import PeerNotes, PeerTask
from groundwork.postgres.pool import DatabaseUnavailable

logger = logging.getLogger(__name__)

TELL_SECONDS = 10.0
_MOST_WAITING = 10_000

_ENDED = (
    TaskState.TASK_STATE_COMPLETED,
    TaskState.TASK_STATE_FAILED,
    TaskState.TASK_STATE_CANCELED,
    TaskState.TASK_STATE_REJECTED,
)


class CallNotes:
    """Notes of one peer's calls, in the thread that the call is made in; none without `notes` or a thread."""

    def __init__(self, notes: PeerNotes | None, peer: str) -> None:
        self._notes = notes
        self._peer = peer

    async def begins(self) -> None:
        """Note that the peer is asked, before it is. Raises `DatabaseUnavailable`: nothing was sent then."""
        if self._notes is not None and (thread_id := _thread_id()):
            await self._notes.asked(thread_id, self._peer)

    async def has_come_to(self, task: Task) -> None:
        """Note that a task there goes on, or has ended. The peer has been asked, so nothing may fail for this."""
        if self._notes is None or not (thread_id := _thread_id()):
            return
        try:
            if task.status.state in _ENDED:
                await self._notes.ended(thread_id, self._peer, task.id)
            else:
                await self._notes.asked(thread_id, self._peer, task.id)
        except DatabaseUnavailable as error:
            logger.warning("noting a peer's task failed peer=%s task_id=%s: %s", self._peer, task.id, error)


class Tellers:
    """Tells peers that what they were asked is erased: A2A has one word for it, to cancel the tasks that go on.
    What has ended there is the peer's to erase; the receipt of the erasure names it."""

    def __init__(self) -> None:
        self._clients: dict[str, Client] = {}
        self._waiting: asyncio.Queue[PeerTask] = asyncio.Queue(_MOST_WAITING)

    def reaches(self, peer: str, client: Client) -> None:
        """The peer is spoken to by this client from now on."""
        self._clients[peer] = client

    def tell(self, asked: Sequence[PeerTask]) -> None:
        """The tasks are to be cancelled; returns at once."""
        for task in asked:
            if not task.task_id:
                continue
            try:
                self._waiting.put_nowait(task)
            except asyncio.QueueFull:
                logger.warning("telling a peer failed peer=%s task_id=%s: too many wait", task.peer, task.task_id)

    async def run(self) -> None:
        """The loop that tells peers, and lasts as long as the process."""
        while True:
            task = await self._waiting.get()
            client = self._clients.get(task.peer)
            if client is None:
                logger.warning("telling a peer failed peer=%s task_id=%s: unknown", task.peer, task.task_id)
                continue
            try:
                async with asyncio.timeout(TELL_SECONDS):
                    await client.cancel_task(CancelTaskRequest(id=task.task_id))
            except Exception as error:  # noqa: BLE001 - the SDK raises what the peer makes of it; others are to be told
                why = type(error).__name__
                logger.warning("telling a peer failed peer=%s task_id=%s: %s", task.peer, task.task_id, why)
            else:
                logger.info("peer told of an erasure peer=%s task_id=%s", task.peer, task.task_id)


def _thread_id() -> str:
    """The thread that a tool is called in."""
    return str(ensure_config().get("configurable", {}).get("thread_id") or "")
