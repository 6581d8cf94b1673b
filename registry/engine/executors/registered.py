"""Finding the agents that nodes name, or that fit what they ask for."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from groundwork.postgres.pool import Pool, connection
from registry.agents import store
from registry.agents.cards import describe_card, is_agent_uri
from registry.agents.models import Agent, Selection
from registry.agents.store import AgentKey
from registry.engine.visits import Visit
from registry.errors import NotFound
from registry.outbound.clients import OutboundClients
from registry.outbound.conversation import AgentPlace
from registry.outbound.failures import OutboundFailed
from registry.outbound.places import is_http, place_at, place_of

_PAGE = 200
_PAGE_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True)
class Candidate:
    """An agent that could be asked: it is active, and alive."""

    agent_id: str
    uri: str
    skills: frozenset[str]
    """Ids and names, in lower case."""
    card: dict[str, Any]

    def field(self, name: str) -> str | None:
        """What the card, or its labels, say under that name."""
        labels = self.card.get("labels")
        found = self.card.get(name) or (labels.get(name) if isinstance(labels, dict) else None)
        return found if isinstance(found, str) else None


async def list_candidates(visit: Visit, pool: Pool, selection: Selection) -> AsyncIterator[Candidate]:
    """The living agents of the tenant, in the order of their ids."""
    after, has_more = "", True
    while has_more:
        async with connection(pool) as conn:
            page = await store.list_agents(
                conn,
                visit.execution.tenant_id,
                selection,
                after=after,
                limit=_PAGE,
                most_bytes=_PAGE_BYTES,
            )
        for agent in page.agents:
            yield _candidate(agent)
        has_more = page.has_more
        after = page.agents[-1].agent_id if page.agents else after


async def find_place(visit: Visit, pool: Pool, outbound: OutboundClients, named: str) -> AgentPlace:
    """Where the agent is: one of the tenant's, by its id or URI, which has to be alive; or one that nobody has
    registered, by its URL. Raises `OutboundFailed`."""
    tenant_id = visit.execution.tenant_id
    async with connection(pool) as conn:
        agent_id = await store.find_agent_at(conn, tenant_id, named) or named
        try:
            agent = await store.get_agent(conn, AgentKey(tenant_id, agent_id))
        except NotFound:
            agent = None
    if agent is not None:
        return place_of(agent, outbound.agent_tokens)
    if not is_agent_uri(named) or not is_http(named):
        raise OutboundFailed(f"there is no agent {named}")
    return place_at(outbound.agent_tokens, named, named)


def _candidate(agent: Agent) -> Candidate:
    described = describe_card(agent.card)
    skills = described["capabilities"]["skills"]
    names = frozenset(str(name).lower() for skill in skills for name in (skill["id"], skill["name"]))
    return Candidate(agent.agent_id, described["uri"], names, agent.card)
