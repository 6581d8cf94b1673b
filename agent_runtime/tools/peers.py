"""Other A2A agents as tools: each peer is one tool, `ask_<name>`, described by the peer's own card."""

import asyncio
import logging
from collections.abc import Generator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import httpx
from a2a.client import ClientConfig, ClientFactory
from a2a.types import AgentCard
from langchain_core.tools import BaseTool

from agent_runtime.project.outbound import Peer
from agent_runtime.threads.peers import PeerNotes
from agent_runtime.tools.connection_state import ConnectionState, Timing
from agent_runtime.tools.peer_calls import build_peer_tool
from agent_runtime.tools.peer_notes import CallNotes, Tellers
from agent_runtime.tools.source import Source
from groundwork.http.json_body import BadJson
from groundwork.outgoing.a2a_answers import AgentsClient, read_agent_card
from groundwork.outgoing.a2a_cards import BINDINGS, CardUnusable
from groundwork.outgoing.bounded_http import BoundedClient, OpenTransport
from groundwork.outgoing.fetch import FetchFailed
from groundwork.outgoing.foreign_json import parse_foreign_json
from groundwork.outgoing.masking import Mask, mask_url

logger = logging.getLogger(__name__)

_CARD_PATHS = (".well-known/agent-card.json", ".well-known/agent.json")
_LONGEST_CARD = 256 * 1024
_LONGEST_ANSWER = 16 * 1024 * 1024
_LOOPBACK = {"localhost", "127.0.0.1", "::1"}


class PeerUnusable(Exception):
    """The peer answered with a card that cannot be used."""


class PeerConnection(Source):
    """Fetches one peer's card while `run` runs, and offers the peer as a tool while it can be fetched."""

    def __init__(
        self,
        peer: Peer,
        *,
        mask: Mask,
        timing: Timing,
        open_transport: OpenTransport | None = None,
        notes: PeerNotes | None = None,
        tellers: Tellers | None = None,
    ) -> None:
        self.name = peer.name
        self.tools: tuple[BaseTool, ...] = ()
        self._peer = peer
        self._mask = mask
        self._timing = timing
        self._open_transport = open_transport
        self._notes = CallNotes(notes, peer.name)
        self._tellers = tellers
        self._standing = ConnectionState()
        self._card: AgentCard | None = None
        self._settled = asyncio.Event()

    def state(self) -> dict[str, Any]:
        return self._standing.as_json(url=self._mask(mask_url(self._peer.url)))

    async def settled(self) -> None:
        """Returns when the first attempt to fetch the card is over."""
        await self._settled.wait()

    async def run(self) -> None:
        """Fetches the card now and then until it is cancelled."""
        failures = 0
        auth = _TokenForOrigin(self._peer) if self._peer.token else None
        async with (
            self._http(_LONGEST_CARD, httpx.Timeout(10), auth) as for_cards,
            self._http(_LONGEST_ANSWER, httpx.Timeout(10, read=None), auth) as for_calls,
        ):
            while True:
                try:
                    async with asyncio.timeout(self._timing.open_timeout_seconds):
                        card = await self._fetch_card(for_cards)
                    self._offer(card, for_calls)
                    failures = 0
                except (httpx.HTTPError, FetchFailed, PeerUnusable, TimeoutError) as error:
                    self._unavailable(self._mask.error(error))
                    failures += 1
                self._settled.set()
                await asyncio.sleep(self._timing.retry_after(failures) if failures else self._timing.card_seconds)

    def _http(self, longest: int, timeouts: httpx.Timeout, auth: httpx.Auth | None) -> BoundedClient:
        return AgentsClient(longest=longest, timeout=timeouts, auth=auth, open_transport=self._open_transport)

    async def _fetch_card(self, http: httpx.AsyncClient) -> AgentCard:
        urls = _card_urls(self._peer.url)
        for url in urls:
            response = await http.get(url, headers={"accept": "application/json"})
            if response.status_code == 404 and url != urls[-1]:
                continue
            if not response.is_success:
                raise PeerUnusable(f"the card answers {response.status_code} {response.reason_phrase}")
            return self._read_card(response)
        raise AssertionError("the last URL either answers or raises")

    def _read_card(self, response: httpx.Response) -> AgentCard:
        try:
            document = parse_foreign_json(response.content, response.headers.get("content-type", ""))
            card = read_agent_card(document, str(response.url))
        except BadJson as error:
            raise PeerUnusable(f"the card cannot be read: {error}") from error
        except CardUnusable as error:
            raise PeerUnusable(str(error)) from error
        usable = list(card.supported_interfaces)
        if self._peer.token:
            ours = [face for face in usable if _origin(face.url) == _origin(self._peer.url)]
            if not ours:
                raise PeerUnusable(
                    f"the card sends callers to {mask_url(usable[0].url)}, and the token is for"
                    f" {mask_url(self._peer.url)} only; set url to where the card points"
                )
            usable = ours
        del card.supported_interfaces[:]
        card.supported_interfaces.extend(usable)
        return card

    def _offer(self, card: AgentCard, http: httpx.AsyncClient) -> None:
        if self._standing.status != "connected":
            logger.info("A2A peer connected peer=%s", self.name)
        self._standing.connected()
        if self.tools and card == self._card:
            return
        self._card = card
        try:
            client = ClientFactory(
                ClientConfig(httpx_client=http, streaming=False, supported_protocol_bindings=list(BINDINGS))
            ).create(card)
        except ValueError as error:
            raise PeerUnusable(f"the card cannot be used: {error}") from error
        if self._tellers is not None:
            self._tellers.reaches(self.name, client, http, self._peer.url.rstrip("/"))
        self.tools = (build_peer_tool(self._peer, card, client, self._timing, self._mask, self._notes),)

    def _unavailable(self, error: str) -> None:
        if self._standing.status != "unavailable":
            logger.warning("A2A peer unavailable peer=%s: %s", self.name, error)
        self._standing.unavailable(error)
        self.tools = ()


class _TokenForOrigin(httpx.Auth):
    """Sends the token to the origin that the project names, and nowhere else a card may point."""

    def __init__(self, peer: Peer) -> None:
        self._origin = _origin(peer.url)
        self._header = f"Bearer {peer.token}"

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if _origin(str(request.url)) == self._origin:
            request.headers["Authorization"] = self._header
        yield request


def _card_urls(url: str) -> list[str]:
    """Where the card may be: a URL that ends in `.json` is the card's own."""
    if urlsplit(url).path.endswith(".json"):
        return [url]
    parts = urlsplit(url)
    base = parts._replace(path=parts.path.rstrip("/") + "/")
    return [urlunsplit(base._replace(path=base.path + path)) for path in _CARD_PATHS]


def _origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port; the names of this machine count as one host."""
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return ("", "", None)
    host = parts.hostname or ""
    return (parts.scheme, "localhost" if host in _LOOPBACK else host, port)
