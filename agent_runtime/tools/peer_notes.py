"""What is noted of the calls of a peer, and what a peer is told when these are erased."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote

import httpx
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
            await self._notes.asked(thread_id, PeerTask(self._peer))

    async def has_come_to(self, context_id: str, task: Task | None = None) -> None:
        """Note the conversation there, and that a task of it goes on, or has ended. The peer has been asked, so
        nothing may fail for this."""
        if self._notes is None or not (thread_id := _thread_id()):
            return
        try:
            if context_id:
                await self._notes.asked(thread_id, PeerTask(self._peer, context_id))
            if task is not None and task.status.state in _ENDED:
                await self._notes.ended(thread_id, self._peer, task.id)
            elif task is not None:
                await self._notes.asked(thread_id, PeerTask(self._peer, context_id, task.id))
        except DatabaseUnavailable as error:
            logger.warning("noting a peer's task failed peer=%s context_id=%s: %s", self._peer, context_id, error)


@dataclass(frozen=True)
class _Way:
    """How a peer is spoken to: over A2A, and at the address that the project names."""

    client: Client
    http: httpx.AsyncClient
    url: str


class Tellers:
    """Tells peers that what they were asked is erased. A2A has one word for it: to cancel the tasks that go on.

    A peer that serves LangGraph's API too, as agents of this kind do, is told to delete the thread of the
    conversation. What is left is the peer's to erase; the receipt of the erasure names it.
    """

    def __init__(self) -> None:
        self._ways: dict[str, _Way] = {}
        self._waiting: asyncio.Queue[PeerTask] = asyncio.Queue(_MOST_WAITING)

    def reaches(self, peer: str, client: Client, http: httpx.AsyncClient, url: str) -> None:
        """The peer is spoken to in this way from now on."""
        self._ways[peer] = _Way(client, http, url)

    def tell(self, asked: Sequence[PeerTask]) -> None:
        """What the peers have of it is to end; returns at once."""
        # Tasks first: they are gone with the conversation.
        for task in sorted(asked, key=lambda each: not each.task_id):
            if not task.context_id and not task.task_id:
                continue
            try:
                self._waiting.put_nowait(task)
            except asyncio.QueueFull:
                logger.warning("telling a peer failed peer=%s context_id=%s: busy", task.peer, task.context_id)

    async def run(self) -> None:
        """The loop that tells peers, and lasts as long as the process."""
        while True:
            task = await self._waiting.get()
            way = self._ways.get(task.peer)
            if way is None:
                logger.warning("telling a peer failed peer=%s context_id=%s: unknown", task.peer, task.context_id)
                continue
            try:
                async with asyncio.timeout(TELL_SECONDS):
                    told = await _tell(way, task)
            except Exception as error:  # noqa: BLE001 - the SDK raises what the peer makes of it; others are to be told
                why = type(error).__name__
                logger.warning("telling a peer failed peer=%s context_id=%s: %s", task.peer, task.context_id, why)
            else:
                if told:
                    logger.info("peer told of an erasure peer=%s context_id=%s", task.peer, task.context_id)


async def _tell(way: _Way, task: PeerTask) -> bool:
    """Whether there was a way to tell it."""
    if task.task_id:
        await way.client.cancel_task(CancelTaskRequest(id=task.task_id))
        return True
    info = await way.http.get(f"{way.url}/info", headers={"accept": "application/json"})
    if not info.is_success or "langgraph_py_version" not in info.text:
        return False
    deleted = await way.http.delete(f"{way.url}/threads/{quote(task.context_id, safe='')}")
    if not deleted.is_success and deleted.status_code != httpx.codes.NOT_FOUND:
        deleted.raise_for_status()
    return True


def _thread_id() -> str:
    """The thread that a tool is called in."""
    return str(ensure_config().get("configurable", {}).get("thread_id") or "")
