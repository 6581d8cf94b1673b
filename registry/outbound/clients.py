"""Everything a worker has for reaching others; opened with it, closed with it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from importlib import import_module
from typing import TYPE_CHECKING

from groundwork.outgoing.bounded_http import OpenTransport
from groundwork.outgoing.fetch import CheckingTransport, OutgoingPolicy, open_client
from registry.outbound.http_tools import HttpTools
from registry.outbound.secrets import AgentTokens, Secrets
from registry.settings import RegistrySettings

if TYPE_CHECKING:
    from registry.outbound.a2a import A2AAgents
    from registry.outbound.mcp import McpTools

_MAX_BYTES = 16 * 1024 * 1024
_LONGEST_SECONDS = 86_400.0
"""Of a call; each has a time of its own."""


class OutboundClients:
    """`http`, `mcp` and `agents` do what nodes ask for; `secrets` and `agent_tokens` let them in.

    `open_outbound` makes it, and closes it.
    """

    def __init__(self, settings: RegistrySettings, agent_tokens: AgentTokens | None = None) -> None:
        self._policy = policy = OutgoingPolicy(
            max_bytes=_MAX_BYTES,
            deny_private_networks=settings.deny_private_networks,
            allowed_hosts=settings.jamjet_discover_allowed_hosts,
        )
        self._client = client = open_client(replace(policy, timeout_seconds=_LONGEST_SECONDS))
        self._opened = AsyncExitStack()
        self._opened.push_async_callback(client.aclose)
        self._opening = asyncio.Lock()
        self._agents: A2AAgents | None = None
        self.http = HttpTools(client, policy)
        self.secrets = Secrets(settings.jamjet_secret_env, client, policy)
        self.agent_tokens = agent_tokens or AgentTokens(settings.agent_tokens)
        self.allows_commands = settings.jamjet_allow_stdio_mcp

    async def mcp(self) -> "McpTools":
        await _import("registry.outbound.mcp")
        from registry.outbound.mcp import McpTools

        return McpTools(self._policy, self._open_transport)

    async def agents(self) -> "A2AAgents":
        async with self._opening:
            if self._agents is None:
                await _import("registry.outbound.a2a")
                from registry.outbound.a2a import open_agents

                opening = open_agents(self._client, self._policy, self._open_transport)
                self._agents = await self._opened.enter_async_context(opening)
        return self._agents

    async def aclose(self) -> None:
        await self._opened.aclose()

    @property
    def _open_transport(self) -> OpenTransport | None:
        if not self._policy.deny_private_networks:
            return None
        return lambda: CheckingTransport(self._policy)


async def _import(module: str) -> None:
    """In a thread, and when it is needed: the protocols' libraries take long, and many workers need none."""
    await asyncio.to_thread(import_module, module)


@asynccontextmanager
async def open_outbound(
    settings: RegistrySettings, agent_tokens: AgentTokens | None = None
) -> AsyncIterator[OutboundClients]:
    outside = OutboundClients(settings, agent_tokens)
    try:
        yield outside
    finally:
        await outside.aclose()
