"""Tells the webhooks of runs that they are over: beside the turns, and after the rules of push notifications."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import httpx

from agent_runtime.errors import AgentError, InvalidValue
from groundwork.bounds import PUSH_REQUESTS_AT_ONCE, PUSH_WAITING_BYTES
from groundwork.outgoing.fetch import FetchFailed, OutgoingPolicy, check_address_allowed, open_client
from groundwork.outgoing.notifications import FairSlots, GiveUp, TryAgain, notification_policy, post_notification
from groundwork.postgres.pool import DatabaseUnavailable
from groundwork.process.background import let_end

logger = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often a webhook is tried before it is given up."""

FIRST_PAUSE_SECONDS = 0.5
"""The pause before the second attempt; each later one is four times as long."""

MOST_WAITING = 10_000
_READERS = 4
_DRAIN_SECONDS = 5.0

Describe = Callable[[], Awaitable[bytes]]
"""Reads what a receiver is told of a run that has ended."""


class Webhooks:
    """Sends what runs have come to, at most a few at once. It is a courtesy, not a ledger: after the last attempt,
    or at the end of the process, a webhook is gone."""

    def __init__(self, client: httpx.AsyncClient, policy: OutgoingPolicy) -> None:
        self._client = client
        self._policy = policy
        self._readers = asyncio.Semaphore(_READERS)
        self._slots = FairSlots(PUSH_REQUESTS_AT_ONCE)
        self._reading: dict[str, asyncio.Event] = {}
        self._workers: set[asyncio.Task[None]] = set()
        self._waiting_bytes = 0

    async def check(self, url: str) -> None:
        """Raises `InvalidValue` for a place to which nothing could, or may, be sent."""
        try:
            await check_address_allowed(url, self._policy)
        except FetchFailed as error:
            raise InvalidValue("webhook", f"webhook: {error}") from None

    def send(self, run_id: str, caller: str, url: str, describe: Describe) -> None:
        """Queue the webhook of a run that has ended. Never waits."""
        if len(self._workers) >= MOST_WAITING:
            logger.warning("webhook dropped, too many wait run_id=%s", run_id)
            return
        self._reading[run_id] = asyncio.Event()
        worker = asyncio.create_task(self._work(run_id, caller, url, describe), name=f"webhook-{run_id}")
        self._workers.add(worker)
        worker.add_done_callback(self._workers.discard)

    async def has_read(self, run_id: str) -> None:
        """Return once what the run's webhook tells of it has been read, if it has one."""
        if (read := self._reading.get(run_id)) is not None:
            await read.wait()

    async def drain(self, seconds: float) -> None:
        """Give what is waiting so many seconds, then drop it."""
        if dropped := await let_end(set(self._workers), seconds):
            logger.warning("webhooks dropped at shutdown count=%d", dropped)

    async def _work(self, run_id: str, caller: str, url: str, describe: Describe) -> None:
        try:
            async with self._readers:
                payload = await describe()
        except (AgentError, DatabaseUnavailable) as error:
            logger.warning("webhook dropped run_id=%s: %s", run_id, error)
            return
        except Exception:
            logger.exception("webhook crashed run_id=%s", run_id)
            return
        finally:
            self._reading.pop(run_id).set()
        if self._waiting_bytes + len(payload) > PUSH_WAITING_BYTES:
            logger.warning("webhook dropped, too much waits run_id=%s", run_id)
            return
        self._waiting_bytes += len(payload)
        try:
            await self._deliver(run_id, caller, url, payload)
        finally:
            self._waiting_bytes -= len(payload)

    async def _deliver(self, run_id: str, caller: str, url: str, payload: bytes) -> None:
        problem = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                await asyncio.sleep(FIRST_PAUSE_SECONDS * 4 ** (attempt - 1))
            try:
                async with self._slots.of(caller):
                    await post_notification(self._client, url, self._policy, {}, payload)
                return
            except GiveUp as reason:
                problem = str(reason)
                break
            except TryAgain as reason:
                problem = str(reason)
        # Not the URL: it may hold a secret of the receiver.
        logger.warning("webhook not delivered run_id=%s: %s", run_id, problem)


@asynccontextmanager
async def open_webhooks(*, deny_private_networks: bool) -> AsyncIterator[Webhooks]:
    """Open the sender; at the end what is waiting gets a few seconds."""
    policy = notification_policy(deny_private_networks=deny_private_networks)
    async with open_client(policy) as client:
        webhooks = Webhooks(client, policy)
        try:
            yield webhooks
        finally:
            await webhooks.drain(_DRAIN_SECONDS)
