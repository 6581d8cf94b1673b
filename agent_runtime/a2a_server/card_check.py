"""Check whether callers who go by the card reach this agent: fetch it from its public URL, compare it with the
project, and post to each interface that it names."""

from pathlib import Path
from typing import Any

import httpx
from a2a.client import A2ACardResolver
from a2a.client.errors import AgentCardResolutionError
from a2a.types import AgentCard, AgentInterface
from a2a.utils.errors import A2AError

from agent_runtime.a2a_server.card import CARD_PATHS, build_card
from agent_runtime.errors import BadProject
from agent_runtime.project.file import load_project
from agent_runtime.settings import AgentSettings

_TIMEOUT_SECONDS = 30.0

_NO_TASK = "agent-runtime-card"
"""A task that no agent has: to cancel it changes nothing, and only an agent says that it is not found."""

_NOT_FOUND_CODE = -32001


async def check_card(settings: AgentSettings, directory: Path) -> list[str]:
    """Return what is wrong with the card at `PUBLIC_AGENT_URL`, in sentences; nothing when all is well.

    Raises `BadProject` when the directory says nothing to compare with.
    """
    url = settings.public_agent_url or f"http://{settings.host}:{settings.port}"
    if settings.port == 0 and not settings.public_agent_url:
        raise BadProject("AGENT_PORT=0 takes another port at each start; set PUBLIC_AGENT_URL to check the card")
    expected = build_card(load_project(directory).card, url, bearer=bool(settings.a2a_callers))
    token = next(iter(settings.a2a_callers), None)
    problems = []
    async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as client:
        for path in CARD_PATHS:
            try:
                served = await A2ACardResolver(client, url, agent_card_path=path).get_agent_card()
            except (A2AError, AgentCardResolutionError) as error:
                problems.append(f"{url}{path} serves no card: {error}")
            else:
                problems.extend(f"{url}{path}: {difference}" for difference in _differences(expected, served))
        # The project's own interfaces and not those of the card that was fetched: a token goes to no other place.
        for interface in expected.supported_interfaces:
            if problem := await _post_to(client, interface, token):
                binding = f"{interface.protocol_binding} {interface.protocol_version}"
                problems.append(f"POST to {interface.url} ({binding}) {problem}")
    return problems


def _differences(expected: AgentCard, served: AgentCard) -> list[str]:
    found = []
    if served.name != expected.name:
        found.append(f"it is the card of {served.name!r}, not of {expected.name!r}")
    wanted = {(i.protocol_binding, i.protocol_version): i.url for i in expected.supported_interfaces}
    shown = {(i.protocol_binding, i.protocol_version): i.url for i in served.supported_interfaces}
    for (binding, version), url in wanted.items():
        if shown.get((binding, version)) != url:
            found.append(f"{binding} {version} is advertised at {shown.get((binding, version))}, not at {url}")
    return found


async def _post_to(client: httpx.AsyncClient, interface: AgentInterface, token: str | None) -> str | None:
    """Return why callers of the interface do not reach an agent there; None when they do."""
    headers = {"A2A-Version": interface.protocol_version}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    url = httpx.URL(interface.url)
    body: dict[str, Any] = {}
    if interface.protocol_binding == "JSONRPC":
        method = "tasks/cancel" if interface.protocol_version == "0.3" else "CancelTask"
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"id": _NO_TASK}}
    else:
        url = url.copy_with(path=f"{url.path}/tasks/{_NO_TASK}:cancel")
    try:
        answer = await client.post(url, json=body, headers=headers)
    except httpx.HTTPError as error:
        return f"failed: {error or type(error).__name__}"
    if answer.has_redirect_location:
        return f"is redirected to {answer.headers['location']}, and clients do not post a second time"
    if not _is_of_an_agent(answer):
        return f"is not answered by an agent, but with {answer.status_code} {answer.reason_phrase}".rstrip()
    return None


def _is_of_an_agent(answer: httpx.Response) -> bool:
    """Whether it says, in the words of one of the protocols, that there is no such task."""
    try:
        error = answer.json()["error"]
        return error.get("code") == _NOT_FOUND_CODE or (answer.status_code, error["status"]) == (404, "NOT_FOUND")
    except (ValueError, LookupError, TypeError, AttributeError):
        return False
