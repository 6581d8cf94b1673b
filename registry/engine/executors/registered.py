"""Finding the agents that nodes name, or that fit what they ask for."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from groundwork.postgres.pool import Pool, connection
from registry.agents import store
from registry.agents.cards import describe_card, is_agent_uri
from registry.agents.discovery import CARD_PATHS
from registry.agents.models import Agent, Selection
from registry.agents.store import AgentKey
from registry.engine.visits import Visit
from registry.errors import NotFound
from registry.outbound.clients import OutboundClients
from registry.outbound.conversation import AgentPlace
from registry.outbound.failures import OutboundFailed

_PAGE = 200
_PAGE_BYTES = 2 * 1024 * 1024
_STATUS_WORDS = {"registered": "has not been activated"}


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
        return _place_of(visit, outbound, agent)
    if not is_agent_uri(named) or not _is_http(named):
        raise OutboundFailed(f"there is no agent {named}")
    return _place_at(visit, outbound, named, named)


def card_urls(url: str, path: str = "") -> tuple[str, ...]:
    """Where the card of an agent at `url` may be; `path` is where somebody says that it is."""
    if path:
        return (f"{url.rstrip('/')}/{path.lstrip('/')}",)
    if urlsplit(url).path.endswith(".json"):
        return (url,)
    return tuple(url.rstrip("/") + place for place in reversed(CARD_PATHS))


def _candidate(agent: Agent) -> Candidate:
    described = describe_card(agent.card)
    skills = described["capabilities"]["skills"]
    names = frozenset(str(name).lower() for skill in skills for name in (skill["id"], skill["name"]))
    return Candidate(agent.agent_id, described["uri"], names, agent.card)


def _place_of(visit: Visit, outbound: OutboundClients, agent: Agent) -> AgentPlace:
    if agent.status != "active":
        word = _STATUS_WORDS.get(agent.status, f"is {agent.status}")
        raise OutboundFailed(f"the agent {agent.agent_id} {word}, so it is not called")
    if not agent.alive:
        raise OutboundFailed(f"the agent {agent.agent_id} is not alive", retryable=True, kind="io_error")
    return _place_at(visit, outbound, f"the agent {agent.agent_id}", describe_card(agent.card)["uri"], agent.card)


def _place_at(
    visit: Visit, outbound: OutboundClients, name: str, url: str, card: dict[str, Any] | None = None
) -> AgentPlace:
    credentials = outbound.agent_tokens.credentials(url)
    if card is not None and card.get("supportedInterfaces"):
        return AgentPlace(name, url, (), credentials, card)
    if not _is_http(url):
        raise OutboundFailed(f"{name} is at {url}, which is no address that can be called")
    return AgentPlace(name, url, card_urls(url), credentials, card if _is_a2a_0_3(card) else None)


def _is_http(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def _is_a2a_0_3(card: dict[str, Any] | None) -> bool:
    """Whether the card itself says where to call, as A2A's do, and not only where the agent is."""
    return card is not None and "url" in card and ("protocolVersion" in card or "preferredTransport" in card)
