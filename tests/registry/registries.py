"""Real registries for tests: opened on a real database, served over a real socket."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from registry.access import COMMAND_LINE, Role
from registry.console import router as console
from registry.http.app import create_app
from registry.runtime import Registry, open_registry
from registry.settings import RegistrySettings
from tests.servers import run_server


@dataclass
class Served:
    """A served registry, and how its clients speak to it."""

    url: str
    registry: Registry
    token: str
    http: httpx.AsyncClient = field(repr=False)
    """With the token of an operator of the platform."""
    _opened: AsyncExitStack = field(repr=False)

    async def client(self, token: str | None = None) -> httpx.AsyncClient:
        """A client with that token, or with none; closed with the registry."""
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        client = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=30, verify=False)
        return await self._opened.enter_async_context(client)

    async def client_of(self, role: Role, tenant_id: str = "default") -> httpx.AsyncClient:
        """A client with a new token of that role and tenant, which is made if it is not there."""
        return await self.client(await self.make_token(role, tenant_id))

    async def make_token(self, role: Role = "operator", tenant_id: str = "default") -> str:
        """A new token of that role and tenant, which is made if it is not there."""
        if tenant_id != "default":
            await self.http.post("/tenants", json={"id": tenant_id, "name": tenant_id})
        created = await self.registry.tokens.create_token(COMMAND_LINE, role=role, tenant_id=tenant_id)
        return created.plaintext


@asynccontextmanager
async def running_registry(
    dsn: str, *, port: int = 0, worker: bool = False, **settings: Any
) -> AsyncIterator[Served]:
    """Opens and serves a registry on that database, whose schema is there; settings by name. Port 0 is any."""
    given = RegistrySettings(_env_file=None, database_url=dsn, **{"postgres_pool_size": 5} | settings)
    async with (
        open_registry(given, public_url="http://registry.test:7700", migrate=False, worker=worker) as registry,
        run_server(create_app(registry, [console.router]), port) as url,
        AsyncExitStack() as opened,
    ):
        token = (await registry.tokens.create_token(COMMAND_LINE, role="operator")).plaintext
        headers = {"Authorization": f"Bearer {token}"}
        client = httpx.AsyncClient(base_url=url, headers=headers, timeout=30, verify=False)
        http = await opened.enter_async_context(client)
        yield Served(url, registry, token, http, opened)
