"""The memory configuration and the card's URL, the same in every process of an agent."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import psycopg

from agent_runtime.live_settings import store
from agent_runtime.live_settings.card_url import CardUrl, CardUrlChange
from agent_runtime.live_settings.store import StoredSettings
from agent_runtime.memory.config import LiveMemoryConfig, MemoryConfig
from groundwork.postgres.pool import DatabaseUnavailable, Pool, connection
from groundwork.process.background import running

logger = logging.getLogger(__name__)

_LOOK_SECONDS = 0.4


class LiveSettings(Protocol):
    """What may be changed while an agent runs. Both methods change everything they are given, or nothing."""

    async def change_memory(self, **changes: bool | int) -> MemoryConfig:
        """Raises `InvalidValue`."""
        ...

    async def change_card_url(self, url: str) -> CardUrlChange:
        """Raises `InvalidValue` when it cannot stand on a card."""
        ...


class OwnSettings:
    """The settings of a process that has no others beside it."""

    def __init__(self, memory: LiveMemoryConfig, card_url: CardUrl) -> None:
        self._memory = memory
        self._card_url = card_url

    async def change_memory(self, **changes: bool | int) -> MemoryConfig:
        return self._memory.change(**changes)

    async def change_card_url(self, url: str) -> CardUrlChange:
        return await self._card_url.change(url)


class FleetSettings:
    """The settings of all processes of one agent. A change is in the database before it is in force here, and the
    other processes look for it every 0.4 seconds.

    It lives as long as the fleet: who starts while another process of the agent is alive takes over what was
    changed, the first one begins with its environment. Both changes raise `DatabaseUnavailable` too.
    """

    def __init__(self, pool: Pool, agent_id: str, memory: LiveMemoryConfig, card_url: CardUrl) -> None:
        self._pool = pool
        self._agent_id = agent_id
        self._memory = memory
        self._card_url = card_url
        self._own_memory = memory.current
        self._own_url = card_url.url
        self._revision = 0
        self._looks = True

    async def change_memory(self, **changes: bool | int) -> MemoryConfig:
        self._memory.check(**changes)
        await self._adopt(await self._store(**changes))
        return self._memory.current

    async def change_card_url(self, url: str) -> CardUrlChange:
        self._card_url.check(url)
        previous = self._card_url.url
        persisted = await self._adopt(await self._store(card_url=url))
        return CardUrlChange(url, previous, persisted)

    async def look(self) -> None:
        """Takes over what others have changed. Raises `DatabaseUnavailable`."""
        async with connection(self._pool) as conn:
            stored = await store.find_settings(conn, self._agent_id)
        if stored is not None and stored.revision > self._revision:
            await self._adopt(stored)

    async def follow(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_SECONDS)
            try:
                await self.look()
                self._looks = True
            except (DatabaseUnavailable, psycopg.Error) as error:
                if self._looks:
                    logger.warning("polling settings failed: %s", error)
                self._looks = False

    async def _store(self, **changes: bool | int | str) -> StoredSettings:
        async with connection(self._pool) as conn:
            return await store.change_settings(conn, self._agent_id, **changes)

    async def _adopt(self, stored: StoredSettings) -> bool:
        """Puts it in force, unless something later is; returns whether `.env` has the URL now."""
        if stored.revision > self._revision:
            self._revision = stored.revision
            self._memory.replace(self._own_memory, **stored.memory)
            self._card_url.put_in_force(stored.card_url or self._own_url)
        return await self._card_url.persist() if stored.card_url is not None else False


@asynccontextmanager
async def open_settings(
    pool: Pool, agent_id: str | None, memory: LiveMemoryConfig, card_url: CardUrl
) -> AsyncIterator[LiveSettings]:
    """The settings of this process, and of the others of the agent, if it has a name that they could share."""
    if agent_id is None:
        yield OwnSettings(memory, card_url)
        return
    settings = FleetSettings(pool, agent_id, memory, card_url)
    await settings.look()
    async with running("fleet-settings", settings.follow):
        yield settings
