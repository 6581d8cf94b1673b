"""Which entry a card belongs to, and what a new one is called. All in the caller's transaction."""

import hashlib
import re
from collections.abc import Awaitable, Callable

from groundwork.postgres.pool import Connection
from registry.agents import store
from registry.agents.cards import Card, origin_of
from registry.agents.models import Entry
from registry.agents.store import AgentKey
from registry.errors import Conflict, InvalidRequest, LimitReached
from registry.tenants.store import lock_limits

RESERVED_IDS = ("discover", "search")
"""Routes that are beside those of agents."""

_LONGEST_SLUG = 200


async def lock_sent(conn: Connection, tenant_id: str, card: Card) -> Entry | None:
    """The entry of a card that an agent or an operator has sent: the one with its id, or for a card without an id
    the one with its URI. None: there is none, and this transaction may make it (see `_lock_or_reserve`).

    Raises `InvalidRequest` for an id that is reserved, and `LimitReached`.
    """
    if card.agent_id in RESERVED_IDS:
        raise InvalidRequest(f"id {card.agent_id!r} is reserved; choose another one")

    async def find() -> Entry | None:
        agent_id = card.agent_id or await store.find_agent_at(conn, tenant_id, card.uri)
        return await store.lock_agent(conn, AgentKey(tenant_id, agent_id)) if agent_id else None

    return await _lock_or_reserve(conn, tenant_id, find)


async def lock_found(conn: Connection, tenant_id: str, card: Card) -> Entry | None:
    """The entry of a card that was found at a URL: the one whose card was found there before, or that has its URI.
    None: there is none, and this transaction may make it.

    Raises `Conflict` when it would take the place of an agent that is somebody else's, and `LimitReached`.
    """

    async def find() -> Entry | None:
        agent_id = await store.find_agent_of_card(conn, tenant_id, card)
        return await store.lock_agent(conn, AgentKey(tenant_id, agent_id)) if agent_id else None

    entry = await _lock_or_reserve(conn, tenant_id, find)
    if entry is not None and not _may_replace(card, entry):
        raise Conflict(
            f"the card at {card.found_at} says to be that of {card.uri}, where agent {entry.agent_id} is, and that"
            " agent's card is not found there"
        )
    return entry


async def make_id(conn: Connection, tenant_id: str, card: Card) -> str:
    """The id of a new entry: the card's own, else its name in lower case with hyphens, as in `research-agent`.
    When another agent is called so, six hex digits of the URI's SHA-256 follow.

    Raises `Conflict` when the id is another agent's.
    """
    if card.agent_id is not None:
        return await _free(conn, tenant_id, card.agent_id)
    slug = _slug(card.name)
    if slug not in RESERVED_IDS and not await store.has_agent(conn, AgentKey(tenant_id, slug)):
        return slug
    return await _free(conn, tenant_id, f"{slug}-{hashlib.sha256(card.uri.encode()).hexdigest()[:6]}")


async def _lock_or_reserve(
    conn: Connection, tenant_id: str, find: Callable[[], Awaitable[Entry | None]]
) -> Entry | None:
    """Registering again, the common case, waits for nobody but that agent. Whoever makes a new entry holds the
    tenant's limits from here on: nobody else makes one meanwhile, the same one or one too many."""
    if entry := await find():
        return entry
    limits = await lock_limits(conn, tenant_id)
    if entry := await find():
        return entry
    if limits.max_agents is not None:
        agents = await store.count_agents(conn, tenant_id)
        if agents >= limits.max_agents:
            raise LimitReached(f"tenant {tenant_id} has {agents} agents and may have {limits.max_agents}")
    return None


def _may_replace(card: Card, entry: Entry) -> bool:
    """Anybody's card can say that it is that of another agent. It is believed when it was found where that agent's
    card was before, or on the host where that agent is."""
    found_at = card.found_at or ""
    return entry.card_url == found_at or origin_of(found_at) == origin_of(entry.uri)


async def _free(conn: Connection, tenant_id: str, agent_id: str) -> str:
    if agent_id in RESERVED_IDS or await store.has_agent(conn, AgentKey(tenant_id, agent_id)):
        raise Conflict(f"the id {agent_id} is another agent's, or reserved")
    return agent_id


def _slug(name: str) -> str:
    words = re.sub(r"[^\w.]+", "-", name.lower())[:_LONGEST_SLUG].strip("-._")
    return words if words.isprintable() and words else "agent"
