"""The registry's HTTP API, as far as an agent calls it."""

import asyncio
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError

from agent_runtime.registry_link.errors import (
    AgentForgotten,
    InstanceExpired,
    RegistryFailed,
    RegistryRefused,
    RegistryUnavailable,
)
from groundwork.bounded_http import BoundedClient
from groundwork.masking import Mask

_LONGEST_ANSWER = 8 * 1024 * 1024  # a list of some thousand agents
_LONGEST_REASON = 200
_REFUSALS: dict[int, type[RegistryRefused]] = {404: AgentForgotten, 410: InstanceExpired}


class Registered(BaseModel):
    """The answer to a registration. JamJet's own runtime answers with an id that it has made up, and no more."""

    agent_id: str
    created: bool = False


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

    def __init__(self, url: str, token: str, *, timeout_seconds: float) -> None:
        self._timeout = timeout_seconds
        self._mask = Mask([token])
        self._http = BoundedClient(
            longest=_LONGEST_ANSWER,
            base_url=url,
            headers={"Authorization": f"Bearer {token}"} if token else None,
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

    async def register(self, card: dict[str, Any], incarnation: str, heartbeat_seconds: float) -> Registered:
        body = {**card, "incarnation": incarnation, "heartbeat_seconds": heartbeat_seconds}
        answer = await self._call("POST", "/agents", body)
        try:
            return Registered.model_validate(answer)
        except ValidationError as error:
            raise RegistryUnavailable("the answer to the registration has no agent_id") from error

    async def find_agent_id(self, uri: str) -> str | None:
        """The id of the agent that is registered with this URI."""
        try:
            listed = _ListedAgents.model_validate(await self._call("GET", "/agents"))
        except ValidationError as error:
            raise RegistryUnavailable("the list of agents cannot be read") from error
        return next((agent.id for agent in listed.agents if uri in (agent.uri, agent.card.uri)), None)

    async def activate(self, agent_id: str, incarnation: str) -> None:
        await self._call("POST", _path(agent_id, "activate"), {"incarnation": incarnation})

    async def beat(
        self, agent_id: str, incarnation: str, heartbeat_seconds: float, failing: str | None = None
    ) -> None:
        """A sign of life; `failing` is why the agent cannot work at the moment.

        Raises `AgentForgotten` and `InstanceExpired` too.
        """
        body = {"incarnation": incarnation, "heartbeat_seconds": heartbeat_seconds, "health": "ok"}
        if failing is not None:
            body |= {"health": "failing", "reason": failing}
        await self._call("POST", _path(agent_id, "heartbeat"), body)

    async def deactivate(self, agent_id: str, incarnation: str) -> None:
        """This process leaves; the registry keeps the agent active while other processes of it are alive."""
        await self._call("POST", _path(agent_id, "deactivate"), {"incarnation": incarnation})

    async def _call(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        try:
            # httpx bounds each wait for the network, and not the whole.
            async with asyncio.timeout(self._timeout):
                response = await self._http.request(method, path, json=body)
        except TimeoutError as error:
            raise RegistryUnavailable(f"no answer within {self._timeout:g} seconds") from error
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise RegistryUnavailable(f"cannot connect: {self._mask.error(error)}") from error
        except httpx.HTTPError as error:
            raise RegistryUnavailable(self._mask.error(error)) from error
        if response.is_success:
            return _object_in(response)
        raise self._failure(response)

    def _failure(self, response: httpx.Response) -> RegistryFailed | RegistryRefused:
        said = f"answered {response.status_code} {response.reason_phrase}".rstrip()
        if reason := _reason_in(response):
            said = self._mask(f"{said}: {reason}")
        if response.is_server_error:
            return RegistryFailed(said)
        return _REFUSALS.get(response.status_code, RegistryRefused)(response.status_code, said)


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
