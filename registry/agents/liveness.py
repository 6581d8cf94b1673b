"""What a registry does about time: it shows that it works itself, notices who is overdue, and clears away."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from groundwork.postgres.pool import Connection, Pool, connection
from groundwork.process.background import running
from groundwork.process.each_row import EachRow
from groundwork.process.repeating import repeat
from registry.access import Principal
from registry.agents import store
from registry.audit.store import append_entry
from registry.generations.store import note_agent_changed
from registry.metrics import RegistryMetrics
from registry.settings import RegistrySettings

logger = logging.getLogger(__name__)

_PULSE_SECONDS = 1.0
_COUNT_SECONDS = 10.0
_PURGE_SECONDS = 60.0
_PURGE_BATCH = 500


class Liveness:
    """What the loops do in each round. Any number of registries may do it on one database at the same time."""

    def __init__(self, pool: Pool, settings: RegistrySettings, metrics: RegistryMetrics) -> None:
        self._pool = pool
        self._settings = settings
        self._metrics = metrics
        self._rows = EachRow("purging silent agents", logger)

    async def begin(self) -> None:
        """This registry begins to work. While none did, nobody could be heard: see `store.keep_pulse`."""
        await self._keep_pulse(begins=True)

    async def watch(self) -> None:
        """Shows that this registry works, and tells the log who became overdue and who is back."""
        await self._keep_pulse(begins=False)
        async with connection(self._pool) as conn:
            noted = await store.note_overdue(conn)
        for agent in noted:
            _tell(agent)

    async def count(self) -> None:
        async with connection(self._pool) as conn:
            counts = await store.count_by_status(conn)
        self._metrics.set_agents(counts)

    async def purge(self) -> None:
        """Removes processes that nobody has heard of for long, and agents of whose processes none is left."""
        async with connection(self._pool) as conn:
            while await self._purge_instances(conn):
                pass
            while await self._purge_agents(conn):
                pass

    @property
    def purge_round_seconds(self) -> float:
        return min(_PURGE_SECONDS, self._settings.jamjet_purge_seconds / 10)

    async def _keep_pulse(self, *, begins: bool) -> None:
        async with connection(self._pool) as conn:
            gap_seconds, spared = await store.keep_pulse(conn, begins=begins)
        if spared:
            logger.info(
                "registry was away seconds=%.1f processes_spared=%d",
                gap_seconds,
                spared,
            )

    async def _purge_instances(self, conn: Connection) -> bool:
        """Whether there may be more to remove."""
        purged = await store.purge_instances(conn, self._settings.jamjet_purge_seconds, _PURGE_BATCH)
        if purged:
            logger.info("silent processes purged count=%d", purged)
        return purged == _PURGE_BATCH

    async def _purge_agents(self, conn: Connection) -> bool:
        """Whether there may be more to remove."""
        seconds, purged = self._settings.jamjet_purge_seconds, 0
        for key in await store.list_purgeable(conn, seconds, _PURGE_BATCH, self._rows.resting()):
            with self._rows.handling(key, tenant_id=key.tenant_id, agent_id=key.agent_id):
                async with conn.transaction():
                    agent = await store.purge_agent(conn, key, seconds)
                    if agent is not None:
                        await _record_purge(conn, agent)
                        purged += 1
        if purged:
            logger.info("agents without a process purged count=%d", purged)
        return purged > 0


@asynccontextmanager
async def watching_agents(
    pool: Pool, settings: RegistrySettings, metrics: RegistryMetrics
) -> AsyncIterator[Liveness]:
    """Runs the loops with the block. Raises `DatabaseUnavailable` when they cannot even begin."""
    liveness = Liveness(pool, settings, metrics)
    await liveness.begin()
    loops = {
        "agents-watch": partial(repeat, liveness.watch, _PULSE_SECONDS, "watching agents"),
        "agents-count": partial(repeat, liveness.count, _COUNT_SECONDS, "counting agents"),
        "agents-purge": partial(repeat, liveness.purge, liveness.purge_round_seconds, "purging silent agents"),
    }
    async with AsyncExitStack() as stack:
        for name, loop in loops.items():
            await stack.enter_async_context(running(name, loop))
        yield liveness


async def _record_purge(conn: Connection, agent: store.PurgedAgent) -> None:
    await note_agent_changed(conn, agent.tenant_id, agent.agent_id)
    registry = Principal(agent.tenant_id, "operator", "registry", "system")
    await append_entry(conn, registry, "agent_purged", f"agent:{agent.agent_id}", uri=agent.uri)


def _tell(agent: store.NotedAgent) -> None:
    if agent.is_overdue:
        logger.warning("agent lost agent_id=%s tenant_id=%s", agent.agent_id, agent.tenant_id)
    elif agent.status == "active":
        logger.info("agent recovered agent_id=%s tenant_id=%s", agent.agent_id, agent.tenant_id)
