"""Whether callers who go by the card reach this agent: fetch it from its public URL and compare."""

from pathlib import Path

import httpx
from a2a.client import A2ACardResolver
from a2a.client.errors import AgentCardResolutionError
from a2a.types import AgentCard
from a2a.utils.errors import A2AError

from agent_runtime.a2a_server.card import CARD_PATHS, build_card
from agent_runtime.errors import BadProject
from agent_runtime.project import load_project
from agent_runtime.settings import AgentSettings

_TIMEOUT_SECONDS = 10.0


async def check_card(settings: AgentSettings, directory: Path) -> list[str]:
    """What is wrong with the card at `PUBLIC_AGENT_URL`, in sentences; nothing when all is well.

    Raises `BadProject` when the directory says nothing to compare with.
    """
    url = settings.public_agent_url or f"http://{settings.host}:{settings.port}"
    if settings.port == 0 and not settings.public_agent_url:
        raise BadProject("AGENT_PORT=0 takes another port at each start; set PUBLIC_AGENT_URL to check the card")
    expected = build_card(load_project(directory).card, url, bearer=bool(settings.a2a_callers))
    problems = []
    async with httpx.AsyncClient(timeout=_TIMEOUT_SECONDS) as client:
        for path in CARD_PATHS:
            try:
                served = await A2ACardResolver(client, url, agent_card_path=path).get_agent_card()
            except (A2AError, AgentCardResolutionError) as error:
                problems.append(f"{url}{path} serves no card: {error}")
            else:
                problems.extend(f"{url}{path}: {difference}" for difference in _differences(expected, served))
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
