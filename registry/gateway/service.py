"""Calling the admin APIs of agents on behalf of those who are known to the registry."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from groundwork.http.admin_calls import ROLES_FOR, access_of
from groundwork.outgoing.fetch import FetchFailed, OutgoingPolicy, open_client
from groundwork.postgres.pool import Pool, connection, transaction
from groundwork.telemetry.logs import field_of
from registry.access import Principal
from registry.agents.store import AgentKey, has_agent, unknown
from registry.audit.store import append_entry
from registry.errors import AgentAway, AgentTimedOut, AgentUnreachable, Forbidden
from registry.gateway import store
from registry.gateway.calls import AdminAnswer, AdminCall, Places, check_answer
from registry.keys.service import Keys
from registry.questions.rules import require_decider
from registry.settings import RegistrySettings

logger = logging.getLogger(__name__)

ANSWER_SECONDS = 30.0
_MOST_PROCESSES = 3


class Gateway:
    """One way to the admin APIs of all agents. An agent is told by a signed token who calls, in which role."""

    def __init__(self, pool: Pool, keys: Keys, client: httpx.AsyncClient, issuer: str) -> None:
        self._pool = pool
        self._keys = keys
        self._client = client
        self._issuer = issuer
        self._places = Places()

    async def send(self, principal: Principal, agent_id: str, call: AdminCall) -> AdminAnswer:
        """Return a live process's answer, which the caller closes.

        What changes something is in the audit log before it is sent. Raises `Forbidden`, `InvalidRequest`,
        `NotFound`, `LimitReached`, `AgentAway`, `AgentUnreachable` and `AgentTimedOut`.
        """
        access = access_of(call.method, call.path)
        if principal.role not in ROLES_FOR[access]:
            raise Forbidden(f"insufficient role — {' or '.join(ROLES_FOR[access])} required")
        call.check()
        if access == "decide":
            async with connection(self._pool) as conn:
                await require_decider(conn, principal)
        release = self._places.take(principal.tenant_id)
        try:
            urls = await self._find_urls(principal, agent_id)
            if access != "read":
                await self._record(principal, agent_id, call)
            response = await self._send_to_one(principal, agent_id, call, urls)
            return AdminAnswer(response, release)
        except BaseException:
            release()
            raise

    async def _find_urls(self, principal: Principal, agent_id: str) -> list[str]:
        key = AgentKey(principal.tenant_id, agent_id)
        async with connection(self._pool) as conn:
            if not await has_agent(conn, key):
                raise unknown(agent_id)
            urls = await store.list_admin_urls(conn, key, _MOST_PROCESSES)
        if not urls:
            raise AgentAway(f"no live process of agent {agent_id} has said where its admin API is")
        return urls

    async def _record(self, principal: Principal, agent_id: str, call: AdminCall) -> None:
        """Note the call without the values of its query, which may say whose data is meant."""
        names = sorted({pair.partition("=")[0] for pair in call.query.split("&") if pair})
        async with transaction(self._pool) as conn:
            await append_entry(
                conn,
                principal,
                "agent_admin_called",
                f"agent:{agent_id}",
                method=call.method,
                path=call.path,
                parameters=names,
            )

    async def _send_to_one(
        self, principal: Principal, agent_id: str, call: AdminCall, urls: list[str]
    ) -> httpx.Response:
        """Ask one process after the other until one can be connected to."""
        problem = ""
        for url in urls:
            try:
                return await self._send_to(principal, agent_id, call, url)
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:  # nothing has been sent
                problem = type(error).__name__
                logger.warning("agent not reached %s: %s", field_of("agent_id", agent_id), problem)
        raise AgentAway(f"no process of agent {agent_id} can be connected to ({problem})")

    async def _send_to(self, principal: Principal, agent_id: str, call: AdminCall, url: str) -> httpx.Response:
        token = await self._keys.sign(
            {
                "iss": self._issuer,
                "aud": agent_id,
                "sub": principal.actor_id,
                "role": principal.role,
                "tenant": principal.tenant_id,
                "url": url,
                "method": call.method,
                "target": call.target,
            }
        )
        headers = call.sent_headers | {"Authorization": f"Bearer {token}"}
        request = self._client.build_request(call.method, call.url_at(url), headers=headers, content=call.body)
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                response = await self._client.send(request, stream=True)
        except (httpx.ConnectError, httpx.ConnectTimeout):
            raise
        except (TimeoutError, httpx.TimeoutException):
            raise AgentTimedOut(
                f"agent {agent_id} did not answer within {ANSWER_SECONDS:g} seconds; it may have done what"
                " was asked"
            ) from None
        except httpx.HTTPError as error:
            raise AgentUnreachable(
                f"the exchange with agent {agent_id} broke off ({type(error).__name__}); it may have done what was"
                " asked"
            ) from error
        except FetchFailed as error:
            raise AgentUnreachable(f"the admin URL of agent {agent_id} is refused: {error}") from error
        try:
            check_answer(agent_id, response)
        except AgentUnreachable:
            await response.aclose()
            raise
        return response


@asynccontextmanager
async def open_gateway(settings: RegistrySettings, pool: Pool, keys: Keys, issuer: str) -> AsyncIterator[Gateway]:
    policy = OutgoingPolicy(
        timeout_seconds=ANSWER_SECONDS,
        deny_private_networks=settings.deny_private_networks,
        allowed_hosts=settings.jamjet_discover_allowed_hosts,
    )
    async with open_client(policy) as client:
        yield Gateway(pool, keys, client, issuer)
