"""Erasing what the registry says that somebody wants forgotten, beside heartbeats and turns."""

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Protocol

from agent_runtime.errors import AgentError, ThreadNotFound, ThreadNotOurs
from agent_runtime.registry_link.client import ErasureOrder, RegistryClient
from agent_runtime.registry_link.errors import RegistryError
from groundwork.postgres.pool import DatabaseUnavailable

logger = logging.getLogger(__name__)

_MOST_PEERS = 200
"""How many the registry takes in a receipt."""


class Erased(Protocol):
    """What an erasure counts."""

    @property
    def rows(self) -> Mapping[str, int]: ...
    @property
    def peers(self) -> frozenset[str]:
        """Who else was asked in what was erased."""
        ...


class ErasableThreads(Protocol):
    """The agent's threads, as far as they are erased here."""

    async def delete_thread(self, thread_id: str) -> Erased: ...
    async def delete_of_caller(self, caller: str) -> Erased: ...


class ErasureOrders:
    """Does what the registry asks for, whenever a heartbeat was answered that there is something. An order that
    fails stays with the registry, which gives it out again."""

    def __init__(
        self, client: RegistryClient, threads: ErasableThreads, agent_id: Callable[[], str | None]
    ) -> None:
        """`agent_id` is what the registry calls the agent."""
        self._client = client
        self._threads = threads
        self._agent_id = agent_id
        self._wake = asyncio.Event()

    def told(self) -> None:
        """There is something to erase; returns at once."""
        self._wake.set()

    async def run(self) -> None:
        """The loop that does the orders, and lasts as long as the process."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._do_all()
            except RegistryError as error:
                logger.warning("erasing for the registry failed: %s", error)

    async def _do_all(self) -> None:
        while (agent_id := self._agent_id()) is not None:
            orders = await self._client.claim_erasures(agent_id)
            if not orders:
                return
            for order in orders:
                await self._do(agent_id, order)

    async def _do(self, agent_id: str, order: ErasureOrder) -> None:
        receipt: dict[str, object] = {"agent_id": agent_id, "part": order.part}
        try:
            rows, peers = await self._erase(order.caller, order.thread_ids)
        except (DatabaseUnavailable, AgentError) as error:
            logger.warning("erasing for the registry failed erasure_id=%s: %s", order.erasure_id, error)
            receipt["error"] = type(error).__name__
        else:
            logger.info(
                "threads erased for the registry erasure_id=%s threads=%d",
                order.erasure_id,
                rows["agent_threads"],
            )
            receipt["rows"] = dict(rows)
            receipt["peers"] = sorted(peers)[:_MOST_PEERS]
        await self._client.give_receipt(order.erasure_id, receipt)

    async def _erase(self, caller: str | None, thread_ids: Sequence[str]) -> tuple[Counter[str], set[str]]:
        rows: Counter[str] = Counter()
        peers: set[str] = set()
        if caller:
            erased = await self._threads.delete_of_caller(caller)
            rows.update(erased.rows)
            peers |= erased.peers
        for thread_id in thread_ids:
            with suppress(ThreadNotFound, ThreadNotOurs):  # the order goes to every agent of the tenant
                erased = await self._threads.delete_thread(thread_id)
                rows.update(erased.rows)
                peers |= erased.peers
        return rows, peers
