"""The cards of A2A agents, of protocol 0.2 to 1.x and JamJet's: where such an agent can be called.

Peers, discovery and workflows read cards by this alone. A card has been written by others: what is wrong with a
field that no call needs is passed over, and what cannot be called is told with the reason.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from groundwork.outgoing.masking import mask_url

BINDINGS = ("JSONRPC", "HTTP+JSON")

_NAMES = {"JSONRPC": "JSONRPC", "JSON-RPC": "JSONRPC", "HTTP+JSON": "HTTP+JSON", "REST": "HTTP+JSON"}
_VERSION = re.compile(r"v?(\d{1,4})(?:\.(\d{1,4}))?", re.ASCII | re.IGNORECASE)
_OLDEST = (0, 2)
"""The first protocol in which messages are sent as in 0.3."""

_MOST_INTERFACES = 100
_MOST_REASONS = 5


class CardUnusable(Exception):
    """The agent cannot be called, by what its card says; the message says why."""


@dataclass(frozen=True)
class Interface:
    """Where an agent can be called, and how: `version` is `0.3` or `1.0`."""

    url: str
    binding: str
    version: str
    tenant: str = ""


def list_interfaces(card: Any, card_url: str) -> list[Interface]:
    """Return the interfaces that can be called, in the card's order; relative URLs are relative to `card_url`.

    Raises `CardUnusable` when there is none.
    """
    if not isinstance(card, Mapping):
        raise CardUnusable("the card is not a JSON object")
    usable, reasons = [], []
    for given in _given(card):
        try:
            usable.append(_read(given, card_url))
        except CardUnusable as reason:
            reasons.append(str(reason))
    if not usable:
        why = "; ".join(dict.fromkeys(reasons[:_MOST_REASONS])) or "it names none"
        raise CardUnusable(f"the card offers no interface that can be used ({why}); JSONRPC and HTTP+JSON can")
    return list(dict.fromkeys(usable))


def text_of(value: Any) -> str:
    return value if isinstance(value, str) else ""


def objects_of(value: Any) -> Sequence[Mapping[str, Any]]:
    """The objects in a list; none where it is no list."""
    return [each for each in value if isinstance(each, Mapping)] if isinstance(value, list) else []


@dataclass(frozen=True)
class _Given:
    url: Any
    binding: Any
    version: Any
    tenant: Any = ""


def _given(card: Mapping[str, Any]) -> Iterator[_Given]:
    """What the card says, newer forms first; an older one is another way to the same agent."""
    for face in objects_of(card.get("supportedInterfaces"))[:_MOST_INTERFACES]:
        binding = face.get("protocolBinding") or face.get("transport") or "JSONRPC"
        version = face.get("protocolVersion") or "1.0"
        yield _Given(face.get("url"), binding, version, face.get("tenant"))
    version = card.get("protocolVersion") or "0.3"
    others = objects_of(card.get("additionalInterfaces"))[:_MOST_INTERFACES]
    if card.get("url"):
        declared = next((face.get("transport") for face in others if face.get("url") == card["url"]), None)
        yield _Given(card["url"], card.get("preferredTransport") or declared or "JSONRPC", version)
    for face in others:
        yield _Given(face.get("url"), face.get("transport") or "JSONRPC", version)
    capabilities = card.get("capabilities")
    protocols = capabilities.get("protocols") if isinstance(capabilities, Mapping) else None
    if card.get("uri") and not card.get("url") and isinstance(protocols, list) and "a2a" in protocols:
        yield _Given(card["uri"], "JSONRPC", "0.3")


def _read(given: _Given, card_url: str) -> Interface:
    """Raises `CardUnusable`."""
    binding = _NAMES.get(text_of(given.binding).strip().upper())
    if binding is None:
        raise CardUnusable(f"{text_of(given.binding)[:40] or 'no binding'} is not spoken")
    return Interface(_url(given.url, card_url), binding, _version(given.version), text_of(given.tenant))


def _url(given: Any, card_url: str) -> str:
    if not isinstance(given, str) or not given.strip():
        raise CardUnusable("an interface has no URL")
    try:
        url = urljoin(card_url, given.strip())
        parts = urlsplit(url)
        well_formed = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        well_formed = False
    if not well_formed or "@" in parts.netloc or not url.isprintable():
        raise CardUnusable(f"{mask_url(given)[:100]!r} is no http or https URL with a host")
    return url


def _version(given: Any) -> str:
    match = _VERSION.match(str(given).strip())
    if match is None:
        raise CardUnusable(f"protocol version {str(given)[:40]!r} cannot be read")
    version = (int(match[1]), int(match[2] or 0))
    if not _OLDEST <= version < (2, 0):
        raise CardUnusable(f"protocol version {version[0]}.{version[1]} is not spoken; 0.2 to 1.x are")
    return "1.0" if version >= (1, 0) else "0.3"
