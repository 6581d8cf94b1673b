"""The registry's HTTP API, as far as an agent calls it."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError, model_validator

from agent_runtime.live_settings.secrets import LiveSecrets
from agent_runtime.project.slots import Kind
from agent_runtime.registry_link.errors import (
    AgentForgotten,
    InstanceExpired,
    NoComponents,
    RegistryFailed,
    RegistryRefused,
    RegistryUnavailable,
)
from agent_runtime.settings import AgentSettings
from groundwork.outgoing.bounded_http import BoundedClient
from groundwork.outgoing.masking import Mask

Model = TypeVar("Model", bound=BaseModel)

# However short the interval of heartbeats is: a registry that has a bad minute answers late, and to give up on it
# then costs more than a heartbeat that comes late.
_CALL_SECONDS = 10.0
_LONGEST_ANSWER = 8 * 1024 * 1024  # a list of some thousand agents
_LONGEST_REASON = 200
_REFUSALS: dict[int, type[RegistryRefused]] = {404: AgentForgotten, 410: InstanceExpired}


class Registered(BaseModel):
    """The answer to a registration. JamJet's own runtime answers with an id that it has made up, and no more."""

    agent_id: str
    tenant_id: str | None = None
    created: bool = False
    status: str | None = None
    component_generation: int | None = None


class Beaten(BaseModel):
    """The answer to a heartbeat. JamJet's own runtime says nothing in it."""

    status: str | None = None
    component_generation: int | None = None
    erasures: bool = False


class ErasureOrder(BaseModel):
    """What the registry wants erased here: a caller's threads, and some by their ids. `part` goes back with the
    receipt."""

    erasure_id: str
    part: int = 0
    caller: str | None = None
    thread_ids: list[str] = []


class _ErasureOrders(BaseModel):
    orders: list[ErasureOrder]


@dataclass(frozen=True)
class WantedComponent:
    """A component by its id; with a `digest`, only when it has another one by now."""

    kind: Kind
    id: str
    digest: str | None = None


class FoundComponent(BaseModel):
    """What the registry has for a `WantedComponent`. Without a `content` it has the digest that was named."""

    kind: Kind
    id: str
    found: bool
    version: int | None = None
    digest: str | None = None
    content: dict[str, Any] | None = None

    @model_validator(mode="after")
    def _is_whole(self) -> Self:
        if self.found and (self.version is None or self.digest is None):
            raise ValueError("a component has a version and a digest")
        return self


class Resolution(BaseModel):
    """Components as of one generation of the registry's, in the order in which they were asked for."""

    generation: int
    components: list[FoundComponent]


class _Wanted(BaseModel):
    wanted: list[str] = []


class _Keys(BaseModel):
    keys: list[dict[str, Any]]


class _ListedCard(BaseModel):
    uri: str = ""


class _ListedAgent(BaseModel):
    id: str
    uri: str = ""
    card: _ListedCard = _ListedCard()


class _ListedAgents(BaseModel):
    agents: list[_ListedAgent]


class RegistryClient:
    """One registry, at a URL that may have a path. A call is one request, bounded in time and size and never
    redirected, so that the token goes nowhere else; it raises a `RegistryError`."""

    def __init__(self, url: str, secrets: LiveSecrets, *, timeout_seconds: float) -> None:
        self._timeout = timeout_seconds
        self._secrets = secrets
        self._http = BoundedClient(
            longest=_LONGEST_ANSWER,
            base_url=url,
            timeout=timeout_seconds,
            # Calls are seconds apart: a connection that was kept would be one that the other side has given up.
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def register(
        self, card: dict[str, Any], incarnation: str, heartbeat_seconds: float, admin_url: str = ""
    ) -> Registered:
        body = {**card, "incarnation": incarnation, "heartbeat_seconds": heartbeat_seconds}
        if admin_url:
            body["admin_url"] = admin_url
        return _read(Registered, await self._call("POST", "/agents", body), "the answer to the registration")

    async def list_keys(self) -> list[dict[str, Any]]:
        """The public keys that the registry signs with."""
        answer = await self._call("GET", "/.well-known/jwks.json")
        return _read(_Keys, answer, "the list of keys").keys

    async def find_agent_id(self, uri: str) -> str | None:
        """The id of the agent that is registered with this URI."""
        listed = _read(_ListedAgents, await self._call("GET", "/agents"), "the list of agents")
        return next((agent.id for agent in listed.agents if uri in (agent.uri, agent.card.uri)), None)

    async def activate(self, agent_id: str, incarnation: str) -> None:
        await self._call("POST", _path(agent_id, "activate"), {"incarnation": incarnation})

    async def beat(
        self,
        agent_id: str,
        incarnation: str,
        heartbeat_seconds: float,
        failing: str | None = None,
        *,
        drained: bool = False,
        usage: Sequence[Mapping[str, Any]] = (),
    ) -> Beaten:
        """A sign of life; `failing` is why the agent cannot work at the moment, `drained` that this process takes
        no new turns and has none in hand, `usage` what the agent's turns have used.

        Raises `AgentForgotten` and `InstanceExpired` too.
        """
        body: dict[str, Any] = {
            "incarnation": incarnation,
            "heartbeat_seconds": heartbeat_seconds,
            "health": "ok",
        }
        if drained:
            body["drained"] = True
        if usage:
            body["usage"] = list(usage)
        if failing is not None:
            body |= {"health": "failing", "reason": failing}
        answer = await self._call("POST", _path(agent_id, "heartbeat"), body)
        return _read(Beaten, answer, "the answer to the heartbeat")

    async def claim_erasures(self, agent_id: str) -> list[ErasureOrder]:
        """What the agent has to erase; no other process of it is told the same for a while."""
        answer = await self._call("POST", _path(agent_id, "erasures"))
        return _read(_ErasureOrders, answer, "what is to be erased").orders

    async def give_receipt(self, erasure_id: str, receipt: dict[str, object]) -> None:
        await self._call("POST", f"/erasures/{quote(erasure_id, safe='')}/receipts", receipt)

    async def report_questions(self, agent_id: str, report: dict[str, Any]) -> list[str]:
        """Say which questions the agent has open; return the tasks whose questions the registry does not know."""
        answer = await self._call("PUT", _path(agent_id, "questions"), report)
        return _read(_Wanted, answer, "the answer to which questions are open").wanted

    async def resolve(self, wanted: Sequence[WantedComponent]) -> Resolution:
        """What the registry has for each of them. Raises `NoComponents` too."""
        refs = [
            {"kind": one.kind, "id": one.id} | ({"digest": one.digest} if one.digest else {}) for one in wanted
        ]
        try:
            answer = await self._call("POST", "/components/resolve", {"refs": refs})
        except RegistryRefused as error:
            if error.status in (404, 405):
                raise NoComponents(
                    error.status, "the registry has no components; it is of another kind"
                ) from error
            raise
        resolution = _read(Resolution, answer, "the answer to what components there are")
        if [(one.kind, one.id) for one in resolution.components] != [(one.kind, one.id) for one in wanted]:
            raise RegistryUnavailable("the registry answers with other components than were asked for")
        return resolution

    async def report_components(
        self, agent_id: str, incarnation: str, generation: int, refs: Sequence[Mapping[str, Any]]
    ) -> None:
        """What this process runs with."""
        body = {"incarnation": incarnation, "generation": generation, "refs": list(refs)}
        await self._call("PUT", _path(agent_id, "components"), body)

    async def deactivate(self, agent_id: str, incarnation: str) -> None:
        """This process leaves; the registry keeps the agent active while other processes of it are alive."""
        await self._call("POST", _path(agent_id, "deactivate"), {"incarnation": incarnation})

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        token = self._secrets.registry_token
        response = await self._send(method, path, body, token)
        if response.status_code == 401:
            self._secrets.refresh()
            if self._secrets.registry_token != token:  # it was exchanged meanwhile
                response = await self._send(method, path, body, self._secrets.registry_token)
        if response.is_success:
            return _object_in(response)
        raise self._failure(response)

    async def _send(self, method: str, path: str, body: dict[str, Any] | None, token: str) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"} if token else None
        try:
            # httpx bounds each wait for the network, and not the whole.
            async with asyncio.timeout(self._timeout):
                return await self._http.request(method, path, json=body, headers=headers)
        except TimeoutError as error:
            raise RegistryUnavailable(f"no answer within {self._timeout:g} seconds") from error
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise RegistryUnavailable(f"cannot connect: {self._mask.error(error)}") from error
        except httpx.HTTPError as error:
            raise RegistryUnavailable(self._mask.error(error)) from error

    @property
    def _mask(self) -> Mask:
        return Mask([self._secrets.registry_token])

    def _failure(self, response: httpx.Response) -> RegistryFailed | RegistryRefused:
        said = f"answered {response.status_code} {response.reason_phrase}".rstrip()
        if reason := _reason_in(response):
            said = self._mask(f"{said}: {reason}")
        if response.is_server_error:
            return RegistryFailed(said)
        return _REFUSALS.get(response.status_code, RegistryRefused)(response.status_code, said)


def _read(model: type[Model], answer: dict[str, Any], what: str) -> Model:
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        field = ".".join(map(str, error.errors(include_url=False)[0]["loc"]))
        raise RegistryUnavailable(f"{what} cannot be read: {field} is missing or of another type") from error


def _path(agent_id: str, verb: str) -> str:
    return f"/agents/{quote(agent_id, safe='')}/{verb}"


def _object_in(response: httpx.Response) -> dict[str, Any]:
    try:
        content = response.json()
    except (ValueError, RecursionError) as error:
        raise RegistryUnavailable("the answer is not JSON; is REGISTRY_URL a registry's?") from error
    if not isinstance(content, dict):
        raise RegistryUnavailable("the answer is not a JSON object; is REGISTRY_URL a registry's?")
    return content


def _reason_in(response: httpx.Response) -> str:
    """Why a request was refused, in one short line: `{"error": ...}`, or the plain text that JamJet's own runtime
    answers when a body does not fit."""
    try:
        content = response.json()
    except (ValueError, RecursionError):
        plain = response.headers.get("content-type", "").startswith("text/plain")
        content = {"error": response.text} if plain else {}
    reason = content.get("error") if isinstance(content, dict) else None
    return " ".join(reason.split())[:_LONGEST_REASON] if isinstance(reason, str) else ""


@asynccontextmanager
async def open_registry_client(
    settings: AgentSettings, secrets: LiveSecrets | None = None
) -> AsyncIterator[RegistryClient | None]:
    """The agent's registry, if it has one. Nothing is sent before somebody asks for it."""
    if not settings.registry_url:
        yield None
        return
    known = secrets or LiveSecrets(settings)
    async with RegistryClient(settings.registry_url, known, timeout_seconds=_CALL_SECONDS) as client:
        yield client
