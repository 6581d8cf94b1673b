"""A message of a person to a registered agent, and what becomes of it."""

from uuid import uuid4

from groundwork.postgres.pool import Pool, connection, transaction
from registry.access import Principal
from registry.agents import store as agents
from registry.agents.models import Agent
from registry.agents.store import AgentKey, unknown
from registry.audit.store import append_entry
from registry.checks import is_id
from registry.errors import AgentAway, AgentTimedOut, AgentUnreachable, Conflict
from registry.outbound.clients import OutboundClients
from registry.outbound.conversation import AgentPlace, AgentQuestion, Talk
from registry.outbound.failures import OutboundFailed
from registry.outbound.places import place_of
from registry.talks.models import NewMessage

_SECONDS = 30.0
"""For an answer to the request itself; what the agent does for it may take as long as it likes."""


class Talks:
    """Talks with the agents of all tenants; every method works on the principal's own."""

    def __init__(self, pool: Pool, clients: OutboundClients) -> None:
        self._pool = pool
        self._clients = clients

    async def send(self, principal: Principal, agent_id: str, message: NewMessage) -> Talk:
        """Send it, and do not wait until the agent is done. Who has sent it is in the audit log before.

        Raises `NotFound`, `Conflict` for an agent that is not active, `AgentAway`, `AgentTimedOut` and
        `AgentUnreachable`.
        """
        place = await self._find_place(principal, agent_id)
        question = AgentQuestion(
            text=message.text,
            message_id=message.message_id or uuid4().hex,
            context_id=message.context_id or str(uuid4()),
            task_id=message.task_id,
        )
        async with transaction(self._pool) as conn:
            await append_entry(conn, principal, "agent_asked", f"agent:{agent_id}", context_id=question.context_id)
        try:
            return await (await self._clients.agents()).begin(place, question, _SECONDS)
        except OutboundFailed as error:
            raise _explained(error) from error

    async def get(self, principal: Principal, agent_id: str, task_id: str) -> Talk:
        """How far the agent is. Raises as `send` does."""
        place = await self._find_place(principal, agent_id)
        try:
            return await (await self._clients.agents()).look(place, task_id, _SECONDS)
        except OutboundFailed as error:
            raise _explained(error) from error

    async def _find_place(self, principal: Principal, agent_id: str) -> AgentPlace:
        if not is_id(agent_id):
            raise unknown(agent_id)
        async with connection(self._pool) as conn:
            agent = await agents.get_agent(conn, AgentKey(principal.tenant_id, agent_id))
        _check_may_be_asked(agent)
        try:
            return place_of(agent, self._clients.agent_tokens)
        except OutboundFailed as error:
            raise _explained(error) from error


def _check_may_be_asked(agent: Agent) -> None:
    if agent.status != "active":
        raise Conflict(f"agent {agent.agent_id} is {agent.status}; activate it to talk to it")
    if not agent.alive:
        raise AgentAway(f"no live process of agent {agent.agent_id} is heard of")


def _explained(error: OutboundFailed) -> AgentUnreachable:
    return (AgentTimedOut if error.kind == "timeout" else AgentUnreachable)(str(error))
