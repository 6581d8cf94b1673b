"""One call of the admin APIs of many agents, with a result of each."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from groundwork.http.json_body import BadJson, parse_json
from groundwork.postgres.pool import DatabaseUnavailable
from registry.access import Principal
from registry.agents.models import Selection
from registry.agents.service import Agents
from registry.errors import AgentTimedOut, AgentUnreachable, RegistryError
from registry.gateway.calls import AdminCall
from registry.gateway.service import Gateway

CALLS_AT_ONCE = 10
"""Half of what a tenant may have on its way, so that a person can still look at an agent meanwhile."""

SECONDS_OF_EACH = 10.0
_LONGEST_ANSWER = 1024 * 1024


@dataclass(frozen=True)
class BulkResult:
    """What one agent has answered, by its status; or why it has not."""

    agent_id: str
    status: int = 0
    envelope: dict[str, Any] | None = None
    failure: Exception | None = None


@dataclass(frozen=True)
class BulkPage:
    results: Sequence[BulkResult]
    next_cursor: str | None


async def call_each(
    agents: Agents,
    gateway: Gateway,
    principal: Principal,
    selection: Selection,
    call: AdminCall,
    *,
    limit: int,
    cursor: str | None,
) -> BulkPage:
    """Send the call to a page of agents, a few at a time; one that fails holds up no other. Raises
    `InvalidRequest` for a cursor of no page."""
    page = await agents.list_agents(principal, selection, limit, cursor)
    places = asyncio.Semaphore(CALLS_AT_ONCE)

    async def call_one(agent_id: str) -> BulkResult:
        async with places:
            return await _result_of(gateway, principal, agent_id, call)

    results = await asyncio.gather(*(call_one(agent.agent_id) for agent in page.agents))
    return BulkPage(results, page.next_cursor)


async def _result_of(gateway: Gateway, principal: Principal, agent_id: str, call: AdminCall) -> BulkResult:
    try:
        async with asyncio.timeout(SECONDS_OF_EACH):
            answer = await gateway.send(principal, agent_id, call)
            try:
                body = await answer.read(_LONGEST_ANSWER)
            finally:
                await answer.aclose()
        return BulkResult(agent_id, answer.status, _envelope_in(agent_id, body))
    except TimeoutError:
        late = f"agent {agent_id} did not answer within {SECONDS_OF_EACH:g} seconds"
        return BulkResult(agent_id, failure=AgentTimedOut(f"{late}; it may have done what was asked"))
    except (RegistryError, DatabaseUnavailable) as error:
        return BulkResult(agent_id, failure=error)


def _envelope_in(agent_id: str, body: bytes) -> dict[str, Any]:
    """Raises `AgentUnreachable`."""
    try:
        envelope = parse_json(body)
    except BadJson as error:
        raise AgentUnreachable(f"the answer of agent {agent_id} cannot be read: {error}") from error
    if not isinstance(envelope, dict):
        raise AgentUnreachable(f"the answer of agent {agent_id} is no JSON object")
    return envelope
