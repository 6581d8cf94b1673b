"""Push notifications: sent beside the turns, never in their way."""

import asyncio
import json
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import httpx
from a2a.types import Message, Task, TaskArtifactUpdateEvent, TaskPushNotificationConfig, TaskState
from a2a.utils.errors import InvalidParamsError
from a2a.utils.proto_utils import to_stream_response
from google.protobuf.json_format import MessageToDict

from agent_runtime.a2a_server import store
from agent_runtime.a2a_server.exact import write_numbers
from agent_runtime.a2a_server.tasks import Event, TaskEvent
from groundwork.bounds import PUSH_REQUESTS_AT_ONCE, PUSH_REQUESTS_PER_MESSAGE, PUSH_WAITING_BYTES
from groundwork.outgoing.fetch import FetchFailed, check_address_allowed, open_client
from groundwork.outgoing.notifications import FairSlots, GiveUp, TryAgain, notification_policy, post_notification
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
_DRAIN_SECONDS = 5.0
_LONGEST_HEADER = 4096


class PushPolicy:
    """Where notifications may go."""

    def __init__(self, *, deny_private_networks: bool = False) -> None:
        self.outgoing = notification_policy(deny_private_networks=deny_private_networks)

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
    """Sends the events of each task in their order, at most a few tasks and requests at once, and of one caller
    no more than half of these.

    What it sends: each change of status, and each artifact once, whole, when its last chunk is there. It is
    a courtesy, not a ledger: after the last attempt, or at the end of the process, a notification is gone.
    """

    def __init__(self, pool: Pool, client: httpx.AsyncClient, policy: PushPolicy) -> None:
        self.policy = policy
        self._pool = pool
        self._client = client
        self._waiting: dict[str, deque[Event]] = {}
        self._waiting_bytes = 0
        self._allowances: dict[str, int] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._slots = FairSlots(PUSH_REQUESTS_AT_ONCE)

    def notify(self, task: Task, items: Sequence[TaskEvent], caller: str) -> None:
        """Queues what the receivers of the task's notifications want to know. Never waits."""
        events = [event for item in items if (event := _worth_sending(task, item.event)) is not None]
        if not events:
            return
        waiting = self._waiting.get(task.id)
        if waiting is not None:
            self._queue(waiting, task.id, events)
            return
        if len(self._waiting) >= MOST_TASKS:
            logger.warning("push notifications dropped, too many tasks wait task_id=%s", task.id)
            return
        waiting = self._waiting[task.id] = deque()
        self._queue(waiting, task.id, events)
        worker = asyncio.create_task(self._send_all(task.id, caller), name=f"push-{task.id}")
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)

    def _queue(self, waiting: deque[Event], task_id: str, events: Sequence[Event]) -> None:
        for event in events:
            if self._waiting_bytes + event.ByteSize() > PUSH_WAITING_BYTES:
                logger.warning("push notification dropped, too much waits task_id=%s", task_id)
                continue
            if len(waiting) >= MOST_WAITING:
                self._next(waiting)
            waiting.append(event)
            self._waiting_bytes += event.ByteSize()

    def _next(self, waiting: deque[Event]) -> Event:
        event = waiting.popleft()
        self._waiting_bytes -= event.ByteSize()
        return event

    async def drain(self, seconds: float) -> None:
        """Gives what is waiting so many seconds, then drops it."""
        if dropped := await let_end(set(self._workers), seconds):
            logger.warning("push notifications dropped at shutdown tasks=%d", dropped)

    async def _send_all(self, task_id: str, caller: str) -> None:
        waiting = self._waiting[task_id]
        try:
            while waiting:
                async with self._slots.of(caller):
                    event = self._next(waiting)
                    async with connection(self._pool) as conn:
                        configs = await store.list_push_configs(conn, task_id)
                await self._send(task_id, caller, event, configs)
        except DatabaseUnavailable as error:
            logger.warning("push notifications dropped task_id=%s: %s", task_id, error)
        except Exception:
            logger.exception("push notifications crashed task_id=%s", task_id)
        finally:
            while waiting:
                self._next(waiting)
            del self._waiting[task_id]

    async def _send(
        self, task_id: str, caller: str, event: Event, configs: Sequence[TaskPushNotificationConfig]
    ) -> None:
        """Send the event to each, as far as the message that the task works on has requests left; its end is sent
        in any case."""
        ends = _ends_message(event)
        if not ends and self._left(task_id) < len(configs):
            if self._left(task_id) > 0:
                self._allowances[task_id] = 0
                logger.warning("push notifications skipped, enough for one message task_id=%s", task_id)
            return
        async with asyncio.TaskGroup() as group:
            payload = await asyncio.to_thread(_payload_of, event)
            for config in configs:
                group.create_task(self._deliver(config, caller, payload))
        if ends:
            self._allowances.pop(task_id, None)

    def _left(self, task_id: str) -> int:
        return self._allowances.get(task_id, PUSH_REQUESTS_PER_MESSAGE)

    def _count_request(self, task_id: str) -> None:
        self._allowances[task_id] = self._left(task_id) - 1
        while len(self._allowances) > MOST_TASKS:
            self._allowances.pop(next(iter(self._allowances)))

    async def _deliver(self, config: TaskPushNotificationConfig, caller: str, payload: bytes) -> None:
        problem = "no requests are left for this message"
        for attempt in range(1, ATTEMPTS + 1):
            if attempt > 1 and self._left(config.task_id) <= 0:
                break
            self._count_request(config.task_id)
            try:
                async with self._slots.of(caller):
                    await post_notification(
                        self._client, config.url, self.policy.outgoing, _headers(config), payload
                    )
            except GiveUp as reason:
                problem = str(reason)
                break
            except TryAgain as reason:
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


@asynccontextmanager
async def open_push_sender(pool: Pool, policy: PushPolicy) -> AsyncIterator[PushSender]:
    """Opens the sender; at the end what is waiting gets a few seconds."""
    async with open_client(policy.outgoing) as client:
        sender = PushSender(pool, client, policy)
        try:
            yield sender
        finally:
            await sender.drain(_DRAIN_SECONDS)


def _headers(config: TaskPushNotificationConfig) -> dict[str, str]:
    headers = {}
    if config.token:
        headers["X-A2A-Notification-Token"] = config.token
    if config.authentication.scheme and config.authentication.credentials:
        headers["Authorization"] = f"{config.authentication.scheme} {config.authentication.credentials}"
    return headers


def _payload_of(event: Event) -> bytes:
    return write_numbers(json.dumps(MessageToDict(to_stream_response(event)), ensure_ascii=False).encode())


def _ends_message(event: Event) -> bool:
    going_on = (TaskState.TASK_STATE_SUBMITTED, TaskState.TASK_STATE_WORKING)
    return not isinstance(event, TaskArtifactUpdateEvent) and (
        isinstance(event, Message) or event.status.state not in going_on
    )


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
