"""People at the console: logged in over HTTP, as a browser without scripts is."""

import re
from dataclasses import dataclass
from typing import Any

import httpx

from registry.access import Role
from tests.registry.registries import Served

_FORM_TOKEN = re.compile(r'name="form_token" value="([0-9a-f]{64})"')


@dataclass
class Person:
    """Somebody with a browser. `http` keeps the cookie and follows no redirect."""

    http: httpx.AsyncClient
    form_token: str = ""

    async def get(self, path: str, **more: Any) -> httpx.Response:
        return await self.http.get(path, **more)

    async def post(self, path: str, **fields: str) -> httpx.Response:
        """A form as the console's own pages send it."""
        origin = str(self.http.base_url).rstrip("/")
        form = {"form_token": self.form_token, **fields}
        return await self.http.post(path, data=form, headers={"Origin": origin})


async def visitor(registry: Served) -> Person:
    return Person(await registry.client())


async def log_in(registry: Served, role: Role = "operator", tenant_id: str = "default") -> Person:
    """Somebody with a new token of that role, logged in."""
    return await log_in_with(registry, await registry.make_token(role, tenant_id))


async def log_in_with(registry: Served, token: str) -> Person:
    person = await visitor(registry)
    answer = await person.post("/console/login", token=token, next="/console/sessions")
    assert answer.status_code == 303, answer.text
    found = _FORM_TOKEN.search((await person.get("/console/sessions")).text)
    assert found
    person.form_token = found[1]
    return person
