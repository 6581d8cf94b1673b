"""A call of an agent's admin API on its way through the registry: what goes out, and what may come back."""

from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import unquote, urlsplit

import httpx

from groundwork.http.admin_calls import API_ROOT
from groundwork.outgoing.fetch import Unreachable, unpacked
from registry.errors import AgentUnreachable, InvalidRequest, LimitReached

MOST_AT_ONCE = 20
"""Calls of one tenant that a registry process passes on at a time: agents that hang burden no other tenant."""

_LONGEST_TARGET = 8192
_CHUNK_BYTES = 256 * 1024
_LONGEST_ANSWER = 256 * 1024 * 1024

_SENT = ("accept", "content-type", "if-match", "if-none-match", "last-event-id", "x-request-id")
_ANSWERED = ("allow", "cache-control", "content-disposition", "content-type", "etag", "retry-after")
_MEDIA_TYPES = ("application/json", "application/x-ndjson", "text/csv", "text/event-stream")


@dataclass(frozen=True)
class AdminCall:
    """`path` is what follows `/api/v1/`, percent-encoded as it was sent."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    @property
    def target(self) -> str:
        return API_ROOT + self.path + (f"?{self.query}" if self.query else "")

    @property
    def sent_headers(self) -> dict[str, str]:
        """What goes along; nothing that was meant for the registry itself, or for the connection to it."""
        own = {"Accept-Encoding": "identity"}
        return own | {name: self.headers[name] for name in _SENT if name in self.headers}

    def check(self) -> None:
        """Refuse what could leave the admin API on its way. Raises `InvalidRequest`."""
        if not self.target.isascii() or not self.target.isprintable() or " " in self.target:
            raise InvalidRequest("the path must be percent-encoded ASCII")
        if len(self.target) > _LONGEST_TARGET:
            raise InvalidRequest(f"path and query are longer than the {_LONGEST_TARGET} characters accepted")
        if any(character in self.path for character in "#?\\") or any(
            unquote(segment) in (".", "..") for segment in self.path.split("/")
        ):
            raise InvalidRequest("the path must not contain the segments . and .., or backslashes")

    def url_at(self, admin_url: str) -> httpx.URL:
        """Return where the call goes: below the address that the agent has registered, whatever the path says."""
        base = httpx.URL(admin_url)
        prefix = urlsplit(admin_url).path.rstrip("/")
        return base.copy_with(raw_path=(prefix + self.target).encode("ascii"))


class AdminAnswer:
    """An agent's answer, whose body is passed on as it comes. To be closed, read or not."""

    def __init__(self, response: httpx.Response, release: Callable[[], None]) -> None:
        self._response = response
        self._release = release
        self.status = response.status_code
        self.headers = {name: response.headers[name] for name in _ANSWERED if name in response.headers}

    async def stream(self) -> AsyncIterator[bytes]:
        """Raises `AgentUnreachable` where the answer breaks off, or does not end."""
        length = 0
        try:
            async for chunk in unpacked(self._response, _CHUNK_BYTES):
                length += len(chunk)
                if length > _LONGEST_ANSWER:
                    raise AgentUnreachable(f"the agent's answer is longer than {_LONGEST_ANSWER} bytes")
                yield chunk
        except (httpx.HTTPError, Unreachable) as error:
            raise AgentUnreachable(f"the agent's answer broke off ({type(error).__name__})") from error

    async def read(self, longest: int) -> bytes:
        """Return the whole body. Raises `AgentUnreachable`, also for one that is longer than that."""
        body = bytearray()
        async for chunk in self.stream():
            body += chunk
            if len(body) > longest:
                raise AgentUnreachable(f"the agent's answer is longer than {longest} bytes")
        return bytes(body)

    async def aclose(self) -> None:
        try:
            await self._response.aclose()
        finally:
            self._release()


def check_answer(agent_id: str, response: httpx.Response) -> None:
    """Refuse what is no answer of an admin API: an address may be another server's. Raises `AgentUnreachable`."""
    if response.status_code == httpx.codes.UNAUTHORIZED:
        raise AgentUnreachable(
            f"agent {agent_id} does not accept this registry's tokens; its ADMIN_TRUST_REGISTRY has to be true,"
            " and its REGISTRY_URL https or of its own machine"
        )
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if response.is_redirect or response.status_code < 200 or media_type not in _MEDIA_TYPES:
        raise AgentUnreachable(f"what answers at the admin URL of agent {agent_id} is not its admin API")


class Places:
    """How many calls of each tenant are on their way."""

    def __init__(self) -> None:
        self._taken: Counter[str] = Counter()

    def take(self, tenant_id: str) -> Callable[[], None]:
        """Take a place, and return what gives it back. Raises `LimitReached`."""
        if self._taken[tenant_id] >= MOST_AT_ONCE:
            raise LimitReached(f"tenant {tenant_id} has {MOST_AT_ONCE} calls of agents on their way already")
        self._taken[tenant_id] += 1
        return partial(self._give_back, tenant_id)

    def _give_back(self, tenant_id: str) -> None:
        self._taken[tenant_id] -= 1
        if not self._taken[tenant_id]:
            del self._taken[tenant_id]
