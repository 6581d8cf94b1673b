"""Agents that were discovered send no heartbeats: while they are active, the registry looks for their cards."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

from groundwork.postgres.pool import DatabaseUnavailable, Pool, connection, transaction
from groundwork.process.background import running
from groundwork.process.each_row import EachRow
from groundwork.process.repeating import repeat
from registry.access import Principal
from registry.agents import store
from registry.agents.cards import Card, origin_of
from registry.agents.discovery import Discovery
from registry.agents.store import DueProbe
from registry.audit.store import append_entry
from registry.errors import AgentUnreachable, InvalidRequest
from registry.generations.store import note_agent_changed
from registry.settings import RegistrySettings

logger = logging.getLogger(__name__)

_AT_ONCE = 5
_SLOW_AT_ONCE = 5
_LONGEST_ROUND_SECONDS = 1.0
_PROMPT_SECONDS = 2.0


class Prober:
    """Looks for the cards of agents that are due, some at a time. Any number of registries may do it on one
    database at once; each agent is looked for by one of them.

    An agent that does not answer promptly is asked again in a queue beside, where it has most of the interval: so
    those that hang hold up each other, and nobody else.
    """

    def __init__(self, pool: Pool, discovery: Discovery, seconds: float) -> None:
        self._pool = pool
        self._discovery = discovery
        self._seconds = seconds
        self._rows = EachRow("looking for an agent's card", logger)
        self._begun: set[asyncio.Task[None]] = set()
        self._slow = asyncio.Semaphore(_SLOW_AT_ONCE)

    async def run(self) -> None:
        """For ever."""
        round_seconds = min(_LONGEST_ROUND_SECONDS, self._seconds / 4)
        async with asyncio.TaskGroup() as group:
            await repeat(partial(self._probe_due, group), round_seconds, "probing discovered agents")

    async def _probe_due(self, group: asyncio.TaskGroup) -> None:
        """Begins to look for those that are due, until there are none."""
        while due := await self._claim(_AT_ONCE - len(self._begun)):
            for agent in due:
                probe = group.create_task(self._probe(agent, group), name=f"probe-{agent.agent_id}")
                self._begun.add(probe)
                probe.add_done_callback(self._begun.discard)
            if len(self._begun) == _AT_ONCE:
                await asyncio.wait(self._begun, return_when=asyncio.FIRST_COMPLETED)

    async def _claim(self, limit: int) -> list[DueProbe]:
        async with connection(self._pool) as conn:
            return await store.claim_probes(conn, seconds=self._seconds, limit=limit)

    async def _probe(self, agent: DueProbe, group: asyncio.TaskGroup) -> None:
        now = asyncio.get_running_loop().time()
        if not await self._attempt(agent, now + min(_PROMPT_SECONDS, 0.2 * self._seconds)):
            # Shorter than the claim, so that nobody else looks for the agent at the same time.
            again = self._probe_patiently(agent, now + 0.8 * self._seconds)
            group.create_task(again, name=f"probe-again-{agent.agent_id}")

    async def _probe_patiently(self, agent: DueProbe, deadline: float) -> None:
        try:
            async with asyncio.timeout_at(deadline):
                await self._slow.acquire()
        except TimeoutError:
            return
        try:
            await self._attempt(agent, deadline)
        finally:
            self._slow.release()

    async def _attempt(self, agent: DueProbe, deadline: float) -> bool:
        """Whether the matter is settled: the agent has answered, or it cannot be asked. Then it is left alone, and
        becomes overdue by itself."""
        key = agent.key
        with self._rows.handling(key, tenant_id=key.tenant_id, agent_id=key.agent_id):
            try:
                async with asyncio.timeout_at(deadline):
                    card = await self._discovery.find_card(agent.card_url)
                await self._note(agent, card)
            except TimeoutError:
                return False
            except (InvalidRequest, AgentUnreachable) as error:
                logger.debug("card probe failed agent_id=%s: %s", agent.agent_id, error)
            except DatabaseUnavailable as error:
                logger.warning("card probe not recorded agent_id=%s: %s", agent.agent_id, error)
        return True

    async def _note(self, agent: DueProbe, card: Card) -> None:
        if not _is_of(card, agent):
            logger.warning("card probe found another agent url=%s agent_id=%s", agent.card_url, agent.agent_id)
            return
        key = agent.key
        async with transaction(self._pool) as conn:
            entry = await store.lock_agent(conn, key)
            if entry is None or entry.status != "active" or entry.card_url != agent.card_url:
                return  # it has become something else while it was looked for
            await store.note_sign_of_life(conn, key, None, self._seconds)
            if await store.update_probed_card(conn, key, card):
                await note_agent_changed(conn, key.tenant_id, key.agent_id)
                registry = Principal(key.tenant_id, "operator", "registry", "system")
                await append_entry(conn, registry, "agent_updated", f"agent:{key.agent_id}", uri=card.uri)


@asynccontextmanager
async def probing_agents(pool: Pool, discovery: Discovery, settings: RegistrySettings) -> AsyncIterator[None]:
    """Looks for discovered agents while the block runs."""
    prober = Prober(pool, discovery, settings.jamjet_probe_seconds)
    async with running("agents-probe", prober.run):
        yield


def _is_of(card: Card, agent: DueProbe) -> bool:
    """Whether the card is still that agent's: by its id, and by who answers for the address that it names."""
    return card.agent_id == agent.card_id and origin_of(card.uri) == origin_of(agent.uri)
