"""Finding an agent's card at an address that somebody has named."""

import asyncio
import posixpath
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urljoin, urlsplit, urlunsplit

import httpx

from groundwork.http.json_body import BadJson
from groundwork.outgoing.a2a_cards import CardUnusable, list_interfaces, objects_of, text_of
from groundwork.outgoing.fetch import (
    AddressRefused,
    Fetched,
    FetchFailed,
    InvalidUrl,
    OutgoingPolicy,
    check_url,
    fetch,
    open_client,
)
from groundwork.outgoing.foreign_json import parse_foreign_json
from registry.agents.cards import Card, is_a2a, read_card
from registry.checks import refuse_unstorable_text
from registry.errors import AgentUnreachable, InvalidRequest
from registry.settings import RegistrySettings

# Where JamJet's agents have their cards, and A2A's of today.
CARD_PATHS = ("/.well-known/agent.json", "/.well-known/agent-card.json")

_TIMEOUT_SECONDS = 10.0
_MAX_BYTES = 256 * 1024
_MAX_REDIRECTS = 3


class Discovery:
    """Fetches cards, within bounds on time, size, redirects, and on where it may go."""

    def __init__(self, client: httpx.AsyncClient, policy: OutgoingPolicy) -> None:
        self._client = client
        self._policy = policy

    async def find_card(self, url: str) -> Card:
        """The card at `url`, which is a card's own URL, ending in `.json`, or where to look below for one.

        `Card.found_at` says where it was. Raises `InvalidRequest` for a URL that nothing may be fetched from, and
        `AgentUnreachable` when there is no card.
        """
        host, places = _places(url)
        reasons = []
        try:
            async with asyncio.timeout(self._policy.timeout_seconds):
                for place in places:
                    try:
                        return await self._fetch_card(place)
                    except _NoCardHere as reason:
                        reasons.append(f"{urlsplit(place).path} {reason}")
        except TimeoutError:
            seconds = self._policy.timeout_seconds
            raise AgentUnreachable(f"{host} did not answer within {seconds:g} seconds") from None
        except AddressRefused as error:
            raise InvalidRequest(f"url is refused: {error}") from None
        except FetchFailed as error:
            raise AgentUnreachable(str(error)) from error
        raise AgentUnreachable(f"{host} has no card that can be used: {'; '.join(reasons)}")

    async def _fetch_card(self, url: str) -> Card:
        answer = await fetch(self._client, "GET", url, policy=self._policy, headers={"Accept": "application/json"})
        if answer.status != 200:
            raise _NoCardHere(f"answered {answer.status}")
        document = _read_document(answer)
        try:
            return read_card(_with_address(document, url)).fetched_from(url)
        except (InvalidRequest, CardUnusable) as error:
            raise _NoCardHere(f"is not a card: {error}") from None


@asynccontextmanager
async def open_discovery(settings: RegistrySettings) -> AsyncIterator[Discovery]:
    policy = OutgoingPolicy(
        timeout_seconds=_TIMEOUT_SECONDS,
        max_bytes=_MAX_BYTES,
        max_redirects=_MAX_REDIRECTS,
        deny_private_networks=settings.deny_private_networks,
        allowed_hosts=settings.jamjet_discover_allowed_hosts,
    )
    async with open_client(policy) as client:
        yield Discovery(client, policy)


class _NoCardHere(Exception):
    """There was an answer, and it is no card; the message says what it was instead."""


def _places(url: str) -> tuple[str, list[str]]:
    """The host, and where there to look for a card, in this order. Raises `InvalidRequest`."""
    try:
        host = check_url(url).host
        parts = urlsplit(url)._replace(fragment="")
    except (InvalidUrl, ValueError) as error:
        raise InvalidRequest(f"url is refused: {error}") from None
    if parts.path.endswith(".json"):
        return host, [urlunsplit(parts)]
    below = parts._replace(path=parts.path.rstrip("/"), query="")
    return host, [urlunsplit(below) + path for path in CARD_PATHS]


def _with_address(document: dict[str, Any], card_url: str) -> dict[str, Any]:
    """The card with absolute URLs, and of those that an older one of A2A's names the one that can be called first.

    A card of JamJet's that does not say where the agent is, is one of an agent where the card was found. Raises
    `CardUnusable` for one of A2A's by which nobody could be called.
    """
    is_called = is_a2a(document) or document.get("url") or document.get("supportedInterfaces")
    if is_called and not document.get("uri"):
        return _with_interfaces(document, card_url)
    says_where = any(document.get(field) for field in ("uri", "url", "supportedInterfaces"))
    if says_where or not isinstance(document.get("capabilities"), dict):
        return document
    parts = urlsplit(card_url)
    above = (
        parts.path.partition("/.well-known/")[0]
        if "/.well-known/" in parts.path
        else posixpath.dirname(parts.path)
    )
    return {**document, "uri": urlunsplit(parts._replace(path=above.rstrip("/"), query=""))}


def _with_interfaces(document: dict[str, Any], card_url: str) -> dict[str, Any]:
    """Raises `CardUnusable`."""
    faces = list_interfaces(document, card_url)
    if document.get("supportedInterfaces"):
        shown = [
            {**face, "url": urljoin(card_url, text_of(face.get("url")))}
            for face in objects_of(document["supportedInterfaces"])
        ]
        document = {**document, "supportedInterfaces": shown}
    if document.get("url") or not document.get("supportedInterfaces"):
        url = urljoin(card_url, text_of(document.get("url")))
        if url not in [face.url for face in faces]:
            url, document = faces[0].url, {**document, "preferredTransport": faces[0].binding}
        document = {**document, "url": url}
    return document


def _read_document(answer: Fetched) -> dict[str, Any]:
    """Raises `_NoCardHere`."""
    try:
        document = parse_foreign_json(answer.body, answer.headers.get("content-type", ""))
    except BadJson as error:
        raise _NoCardHere(f"cannot be used: {error}") from None
    if not isinstance(document, dict):
        raise _NoCardHere("is not a JSON object")
    try:
        refuse_unstorable_text(document)
    except InvalidRequest:  # its text would repeat what the other side has sent
        raise _NoCardHere("contains text that cannot be stored") from None
    return document
