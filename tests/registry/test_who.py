"""Every route of a registry and every kind of caller, as the table in `who.py` has it."""

import asyncio
import re

import httpx
import pytest

from registry.access import ROLES
from registry.http.app import create_app
from tests.registry.registries import Served
from tests.registry.who import ROLES_OF, WHO
from tests.routes import operations_of


def test_the_table_has_every_route_of_the_app_and_no_other(registry: Served) -> None:
    routes = {f"{method} {path}" for method, path in operations_of(create_app(registry.registry))}
    assert routes == WHO.keys()


async def test_who_has_no_good_token_is_let_in_where_everybody_is(registry, registry_pool):
    for who, client in (await callers_without_a_good_token(registry, registry_pool)).items():
        refused = {route: status for route, status in (await walk(client)).items() if status == 401}
        assert refused.keys() == {route for route in WHO if WHO[route] != "everybody"}, who


@pytest.mark.parametrize("role", ROLES)
async def test_a_role_is_let_in_where_the_table_says(registry, role):
    refused = {
        route for route, status in (await walk(await registry.client_of(role, "acme"))).items() if status == 403
    }
    assert refused == {route for route, who in WHO.items() if role not in ROLES_OF[who]}


async def test_an_operator_of_the_platform_is_let_in_everywhere(registry):
    assert {status for status in (await walk(registry.http)).values() if status in (401, 403)} == set()


async def test_a_suspended_tenants_operator_is_refused_where_somebody_is(registry):
    acme = await registry.client_of("operator", "acme")
    await registry.http.put("/tenants/acme", json={"status": "suspended"})
    refused = {route for route, status in (await walk(acme)).items() if status == 403}
    assert refused == {route for route in WHO if WHO[route] != "everybody"}


async def callers_without_a_good_token(registry: Served, pool) -> dict[str, httpx.AsyncClient]:
    revoked, expired = [(await registry.http.post("/tokens", json={"role": "operator"})).json() for _ in range(2)]
    await registry.http.delete(f"/tokens/{revoked['token_id']}")
    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE tokens SET expires_at = now() - interval '1 second' WHERE token_id = %s", [expired["token_id"]]
        )
    return {
        "nobody": await registry.client(),
        "somebody with a made-up token": await registry.client("jj_" + "x" * 43),
        "somebody with a revoked token": await registry.client(revoked["token"]),
        "somebody with an expired token": await registry.client(expired["token"]),
    }


async def walk(client: httpx.AsyncClient) -> dict[str, int]:
    """The status of each route's answer, with names of things that are not there."""
    statuses = {}
    for route in WHO:
        method, path = route.split(" ")
        answer = await client.request(method, re.sub("{[^}]*}", "anything", path))
        assert answer.status_code < 500, (route, answer.text)
        statuses[route] = answer.status_code
    return statuses


async def test_no_body_is_waited_for_of_whom_the_registry_does_not_let_in(registry):
    """Refused by the head alone: what is announced never comes, and is more than anybody may send."""
    for authorization in ("", "Authorization: Bearer jj_made-up\r\n"):
        head = f"POST /artifacts HTTP/1.1\r\nHost: a\r\n{authorization}Content-Length: 900000000\r\n\r\n"
        reader, writer = await asyncio.open_connection("127.0.0.1", httpx.URL(registry.url).port)
        writer.write(head.encode())
        assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 401")
        writer.close()
