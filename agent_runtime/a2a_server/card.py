"""The card: what the author says about the agent, and where and how it is served."""

from collections.abc import Awaitable, Callable
from email.utils import formatdate
from urllib.parse import urlsplit, urlunsplit

from a2a.types import (
    AgentCapabilities,
    AgentCard,
    AgentInterface,
    AgentSkill,
    HTTPAuthSecurityScheme,
    SecurityRequirement,
    SecurityScheme,
    StringList,
)
from a2a.utils.constants import AGENT_CARD_WELL_KNOWN_PATH
from starlette.requests import Request
from starlette.responses import Response

from agent_runtime.project.file import CardSpec

Endpoint = Callable[[Request], Awaitable[Response]]

CARD_PATHS = (AGENT_CARD_WELL_KNOWN_PATH, "/.well-known/agent.json")
"""The second one is where JamJet's discovery and clients of older protocols look."""

CARD_CACHE_CONTROL = "public, max-age=60"
"""The URL on the card may change at any time; a minute is how long a reader may go on with the old one."""

REST_PREFIX = "/a2a"

_BEARER = "bearer"


def build_card(spec: CardSpec, url: str, *, bearer: bool) -> AgentCard:
    """The card of an agent reached at `url`; `bearer` says that callers need a token."""
    card = AgentCard(
        name=spec.name,
        description=spec.description,
        version=spec.version,
        supported_interfaces=_interfaces(url),
        capabilities=AgentCapabilities(streaming=True, push_notifications=True),
        default_input_modes=spec.default_input_modes,
        default_output_modes=spec.default_output_modes,
        skills=[
            AgentSkill(
                id=skill.id,
                name=skill.name,
                description=skill.description,
                tags=skill.tags,
                examples=skill.examples,
                input_modes=skill.input_modes or spec.default_input_modes,
                output_modes=skill.output_modes or spec.default_output_modes,
            )
            for skill in spec.skills
        ],
    )
    if bearer:
        scheme = HTTPAuthSecurityScheme(scheme="bearer", description="A token of A2A_TOKENS")
        card.security_schemes[_BEARER].CopyFrom(SecurityScheme(http_auth_security_scheme=scheme))
        card.security_requirements.append(SecurityRequirement(schemes={_BEARER: StringList()}))
    return card


def card_at(current_url: Callable[[], str]) -> Callable[[AgentCard], Awaitable[AgentCard]]:
    """A modifier for the card routes: the card as it is served at the URL in force right now."""

    async def modify(card: AgentCard) -> AgentCard:
        served = AgentCard()
        served.CopyFrom(card)
        del served.supported_interfaces[:]
        served.supported_interfaces.extend(_interfaces(current_url()))
        return served

    return modify


class Dated:
    """Says on each card since when this process has served it as it is."""

    def __init__(self) -> None:
        self._etag = ""
        self._since = ""

    def wrap(self, endpoint: Endpoint) -> Endpoint:
        async def answer(request: Request) -> Response:
            response = await endpoint(request)
            if response.headers["ETag"] != self._etag:
                self._etag, self._since = response.headers["ETag"], formatdate(usegmt=True)
            response.headers["Last-Modified"] = self._since
            return response

        return answer


def _interfaces(url: str) -> list[AgentInterface]:
    """JSON-RPC is at the URL itself and the preferred one. The entry for 0.3 makes older clients see a card
    of their own version in the same document.

    Below a path, the URL of JSON-RPC ends in a slash: nginx and others redirect a prefix without it, and
    a POST that is redirected is lost.
    """
    rpc = _below(url, "/") if urlsplit(url).path else url
    return [
        AgentInterface(url=rpc, protocol_binding="JSONRPC", protocol_version="1.0"),
        AgentInterface(url=_below(url, REST_PREFIX), protocol_binding="HTTP+JSON", protocol_version="1.0"),
        AgentInterface(url=rpc, protocol_binding="JSONRPC", protocol_version="0.3"),
    ]


def _below(url: str, path: str) -> str:
    parts = urlsplit(url)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path))
