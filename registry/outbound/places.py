"""Where agents are called, by what is registered of them."""

from typing import Any
from urllib.parse import urlsplit

from registry.agents.cards import describe_card
from registry.agents.discovery import CARD_PATHS
from registry.agents.models import Agent
from registry.outbound.conversation import AgentPlace
from registry.outbound.failures import OutboundFailed
from registry.outbound.secrets import AgentTokens

_STATUS_WORDS = {"registered": "has not been activated"}


def place_of(agent: Agent, tokens: AgentTokens) -> AgentPlace:
    """Where the agent is called. Raises `OutboundFailed` for one that is not to be, or does not live."""
    if agent.status != "active":
        word = _STATUS_WORDS.get(agent.status, f"is {agent.status}")
        raise OutboundFailed(f"the agent {agent.agent_id} {word}, so it is not called")
    if not agent.alive:
        raise OutboundFailed(f"the agent {agent.agent_id} is not alive", retryable=True, kind="io_error")
    return place_at(tokens, f"the agent {agent.agent_id}", describe_card(agent.card)["uri"], agent.card)


def place_at(tokens: AgentTokens, name: str, url: str, card: dict[str, Any] | None = None) -> AgentPlace:
    """Where somebody is that is called by that URL. Raises `OutboundFailed`."""
    credentials = tokens.credentials(url)
    if card is not None and card.get("supportedInterfaces"):
        return AgentPlace(name, url, (), credentials, card)
    if not is_http(url):
        raise OutboundFailed(f"{name} is at {url}, which is no address that can be called")
    return AgentPlace(name, url, card_urls(url), credentials, card if _is_a2a_0_3(card) else None)


def card_urls(url: str, path: str = "") -> tuple[str, ...]:
    """Where the card of an agent at `url` may be; `path` is where somebody says that it is."""
    if path:
        return (f"{url.rstrip('/')}/{path.lstrip('/')}",)
    if urlsplit(url).path.endswith(".json"):
        return (url,)
    return tuple(url.rstrip("/") + place for place in reversed(CARD_PATHS))


def is_http(url: str) -> bool:
    return url.startswith(("http://", "https://"))


def _is_a2a_0_3(card: dict[str, Any] | None) -> bool:
    """Whether the card itself says where to call, as A2A's do, and not only where the agent is."""
    return card is not None and "url" in card and ("protocolVersion" in card or "preferredTransport" in card)
