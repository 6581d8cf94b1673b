"""Push notifications: sent beside the turns, never in their way."""

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
from a2a.types import Task, TaskArtifactUpdateEvent, TaskPushNotificationConfig
from a2a.utils.errors import InvalidParamsError
from a2a.utils.proto_utils import to_stream_response
from google.protobuf.json_format import MessageToDict

from agent_runtime.a2a_server import store
from agent_runtime.a2a_server.exact import write_numbers
from agent_runtime.a2a_server.tasks import Event, TaskEvent
from groundwork.outgoing.fetch import (
    FetchFailed,
    FetchTimedOut,
    OutgoingPolicy,
    ResponseTooLarge,
    Unreachable,
    check_address_allowed,
    fetch,
    open_client,
)
from groundwork.postgres.pool import DatabaseUnavailable, Pool, connection
from groundwork.process.background import let_end

logger = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often a notification is tried before it is given up."""

FIRST_PAUSE_SECONDS = 0.5
"""The pause before the second attempt; each later one is four times as long."""

MOST_WAITING = 256
"""Notifications of one task that may wait for a slow receiver; the oldest give way."""

MOST_TASKS = 10_000
_MOST_AT_ONCE = 16
_SECONDS_PER_ATTEMPT = 10.0
_DRAIN_SECONDS = 5.0
_LONGEST_HEADER = 4096
_LONGEST_ANSWER = 64 * 1024


class PushPolicy:
    """Where notifications may go."""

    def __init__(self, *, deny_private_networks: bool = False) -> None:
        # A receiver that moves has to say so by a new config: its token is for the place it named.
        self.outgoing = OutgoingPolicy(
            timeout_seconds=_SECONDS_PER_ATTEMPT,
            max_bytes=_LONGEST_ANSWER,
            max_redirects=0,
            deny_private_networks=deny_private_networks,
        )

    async def check(self, config: TaskPushNotificationConfig) -> None:
        """Raises `InvalidParamsError` for a config that no notification could, or may, be sent by."""
        for name, value in _headers(config).items():
            if len(value) > _LONGEST_HEADER or not value.isprintable() or not value.isascii():
                accepted = f"at most {_LONGEST_HEADER} characters of printable ASCII"
                raise InvalidParamsError(f"the value for the header {name} must be {accepted}")
        try:
            await check_address_allowed(config.url, self.outgoing)
        except FetchFailed as error:
            raise InvalidParamsError(f"url: {error}") from None


class PushSender:
    """Sends the events of each task in their order, at most a few tasks at once.

    What it sends: each change of status, and each artifact once, whole, when its last chunk is there. It is
    a courtesy, not a ledger: after the last attempt, or at the end of the process, a notification is gone.
    """

    def __init__(self, pool: Pool, client: httpx.AsyncClient, policy: PushPolicy) -> None:
        self.policy = policy
        self._pool = pool
        self._client = client
        self._waiting: dict[str, deque[Event]] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._at_once = asyncio.Semaphore(_MOST_AT_ONCE)

    def notify(self, task: Task, items: Sequence[TaskEvent]) -> None:
        """Queues what the receivers of the task's notifications want to know. Never waits."""
        events = [event for item in items if (event := _worth_sending(task, item.event)) is not None]
        if not events:
            return
        waiting = self._waiting.get(task.id)
        if waiting is not None:
            waiting.extend(events)
            return
        if len(self._waiting) >= MOST_TASKS:
            logger.warning("push notifications dropped, too many tasks wait task_id=%s", task.id)
            return
        self._waiting[task.id] = deque(events, maxlen=MOST_WAITING)
        worker = asyncio.create_task(self._send_all(task.id), name=f"push-{task.id}")
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)

    async def drain(self, seconds: float) -> None:
        """Gives what is waiting so many seconds, then drops it."""
        if dropped := await let_end(set(self._workers), seconds):
            logger.warning("push notifications dropped at shutdown tasks=%d", dropped)

    async def _send_all(self, task_id: str) -> None:
        waiting = self._waiting[task_id]
        try:
            async with self._at_once:
                while waiting:
                    await self._send(task_id, waiting.popleft())
        except DatabaseUnavailable as error:
            logger.warning("push notifications dropped task_id=%s: %s", task_id, error)
        except Exception:
            logger.exception("push notifications crashed task_id=%s", task_id)
        finally:
            del self._waiting[task_id]

    async def _send(self, task_id: str, event: Event) -> None:
        async with connection(self._pool) as conn:
            configs = await store.list_push_configs(conn, task_id)
        payload = write_numbers(json.dumps(MessageToDict(to_stream_response(event)), ensure_ascii=False).encode())
        await asyncio.gather(*(self._deliver(config, payload) for config in configs))

    async def _deliver(self, config: TaskPushNotificationConfig, payload: bytes) -> None:
        for attempt in range(1, ATTEMPTS + 1):
            try:
                await self._post(config, payload)
            except _GiveUp as reason:
                problem = str(reason)
                break
            except _TryAgain as reason:
                problem = str(reason)
            except Exception:  # whatever is wrong with this one, the task's others are to be sent
                logger.exception("push notification crashed task_id=%s config_id=%s", config.task_id, config.id)
                return
            else:
                return
            if attempt < ATTEMPTS:
                await asyncio.sleep(FIRST_PAUSE_SECONDS * 4 ** (attempt - 1))
        # Neither the URL nor a header: both may hold a secret of the receiver.
        logger.warning(
            "push notification not delivered config_id=%s task_id=%s: %s", config.id, config.task_id, problem
        )

    async def _post(self, config: TaskPushNotificationConfig, payload: bytes) -> None:
        headers = {"Content-Type": "application/json", **_headers(config)}
        policy = self.policy.outgoing
        try:
            answer = await fetch(self._client, "POST", config.url, policy=policy, headers=headers, content=payload)
        except ResponseTooLarge:
            return  # it was received, and what the receiver has to say does not interest
        except (Unreachable, FetchTimedOut) as error:
            raise _TryAgain(error) from None
        except FetchFailed as error:
            raise _GiveUp(error) from None
        if answer.status in (408, 425, 429) or answer.status >= 500:
            raise _TryAgain(f"the receiver answered {answer.status}")
        if answer.status >= 300:
            raise _GiveUp(f"the receiver answered {answer.status}")


@asynccontextmanager
async def open_push_sender(pool: Pool, policy: PushPolicy) -> AsyncIterator[PushSender]:
    """Opens the sender; at the end what is waiting gets a few seconds."""
    async with open_client(policy.outgoing) as client:
        sender = PushSender(pool, client, policy)
        try:
            yield sender
        finally:
            await sender.drain(_DRAIN_SECONDS)


class _TryAgain(Exception):
    """A notification was not delivered, and may be the next time."""


class _GiveUp(Exception):
    """A notification was not delivered, and will not be."""


def _headers(config: TaskPushNotificationConfig) -> dict[str, str]:
    headers = {}
    if config.token:
        headers["X-A2A-Notification-Token"] = config.token
    if config.authentication.scheme and config.authentication.credentials:
        headers["Authorization"] = f"{config.authentication.scheme} {config.authentication.credentials}"
    return headers


def _worth_sending(task: Task, event: Event) -> Event | None:
    if not isinstance(event, TaskArtifactUpdateEvent):
        return event
    if not event.last_chunk:
        return None
    whole = TaskArtifactUpdateEvent()
    whole.CopyFrom(event)
    for artifact in task.artifacts:
        if artifact.artifact_id == event.artifact.artifact_id:
            whole.artifact.CopyFrom(artifact)
            whole.append = False
    return whole
