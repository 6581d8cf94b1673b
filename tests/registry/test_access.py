"""Who is let in, and what the others are told; on which route who is, `test_who.py` asks."""

import asyncio
import hashlib
import json

from tests.registry.registries import running_registry
from tests.registry.walks import list_routes

_AGENT = {"id": "refused-agent", "uri": "http://127.0.0.1:9/", "name": "Refused"}

_NO_TOKENS = (
    b"",
    b"Bearer",
    b"Basic dXNlcjpwYXNz",
    b"Bearer jj_unknown",
    b"Bearer \xff\xfe\x80",
    "Bearer jj_ünïcode".encode(),
    b"Bearer " + b"x" * 8000,
    b"Bearer a b",
    b"Bearer ' OR 1=1 --",
)


async def test_health_needs_no_token(registry):
    answer = await (await registry.client()).get("/health")
    assert answer.json()["status"] == "ok"


async def test_an_unknown_route_is_answered_in_json(registry):
    answer = await registry.http.get("/nothing/here")
    assert (answer.status_code, answer.json()) == (404, {"error": "not found: there is no /nothing/here"})


async def test_a_method_that_a_path_does_not_have_is_answered_with_those_it_has(registry):
    for path, methods in (("/agents", "GET, POST, HEAD"), ("/jamjet/agents/one", "DELETE, GET, PATCH, HEAD")):
        answer = await registry.http.put(path)
        assert (answer.status_code, answer.headers["allow"]) == (405, methods)
        assert answer.json() == {"error": "method not allowed: PUT is not possible here"}


async def test_head_is_answered_as_get_is_without_the_body(registry):
    for path in ("/health", "/agents", "/agents/nobody"):
        head, get = await registry.http.head(path), await registry.http.get(path)
        assert (head.status_code, head.content) == (get.status_code, b""), path
        assert head.headers["content-type"] == get.headers["content-type"]


async def test_a_refusal_says_which_role_it_takes(registry):
    for role, path, text in (
        ("viewer", "/agents", "insufficient role — developer or operator required"),
        ("developer", "/tokens", "insufficient role — operator required"),
        ("developer", "/tenants", "insufficient role — operator required"),
    ):
        answer = await (await registry.client_of(role)).post(path, json={})
        assert (answer.status_code, answer.json()) == (403, {"error": text})


async def test_a_header_that_is_no_known_token_is_answered_401(registry):
    nobody = await registry.client()
    for header in _NO_TOKENS:
        answer = await nobody.get("/agents", headers=[(b"Authorization", header)])
        assert (answer.status_code, answer.json()) == (401, {"error": "invalid or expired token"}), header
        assert answer.headers["www-authenticate"].startswith("Bearer")


async def test_two_authorization_headers_are_none(registry):
    twice = [("Authorization", f"Bearer {registry.token}")] * 2
    assert (await (await registry.client()).get("/agents", headers=twice)).status_code == 401


async def test_the_scheme_is_read_as_http_has_it(registry):
    nobody = await registry.client()
    for scheme in ("Bearer", "bearer", "BEARER", "Bearer  "):
        headers = {"Authorization": f"{scheme} {registry.token}"}
        assert (await nobody.get("/tokens", headers=headers)).status_code == 200, scheme


async def test_a_token_lets_in_until_it_expires(registry):
    made = (await registry.http.post("/tokens", json={"role": "viewer", "expires": 1})).json()
    bearer = await registry.client(made["token"])
    assert (await bearer.get("/agents")).status_code == 200
    await asyncio.sleep(1.1)
    assert (await bearer.get("/agents")).json() == {"error": "invalid or expired token"}
    assert (await registry.http.get(f"/tokens/{made['token_id']}")).json()["status"] == "expired"


async def test_a_revoked_token_is_refused_from_the_next_request_on(registry):
    made = (await registry.http.post("/tokens", json={"role": "operator"})).json()
    bearer = await registry.client(made["token"])
    assert (await bearer.delete(f"/tokens/{made['token_id']}")).status_code == 200
    assert (await bearer.get("/agents")).status_code == 401


async def test_another_registry_on_the_same_database_knows_of_the_revocation(registry, registry_dsn):
    made = (await registry.http.post("/tokens", json={"role": "viewer"})).json()
    async with running_registry(registry_dsn) as other:
        elsewhere = await other.client(made["token"])
        assert (await elsewhere.get("/agents")).status_code == 200
        await registry.http.delete(f"/tokens/{made['token_id']}")
        assert (await elsewhere.get("/agents")).status_code == 401


async def test_a_suspended_tenant_is_refused_and_let_in_again(registry):
    acme = await registry.client_of("operator", "acme")
    for status in ("suspended", "archived"):
        await registry.http.put("/tenants/acme", json={"status": status})
        for answer in [await acme.get("/agents"), await acme.post("/agents", json=_AGENT)]:
            assert (answer.status_code, answer.json()) == (403, {"error": f"tenant acme is {status}"})
    await registry.http.put("/tenants/acme", json={"status": "active"})
    assert (await acme.get("/agents")).status_code == 200


async def test_a_deleted_tenants_tokens_are_refused(registry):
    acme = await registry.client_of("operator", "acme")
    await registry.http.put("/tenants/acme", json={"status": "suspended"})
    await registry.http.delete("/tenants/acme")
    assert (await acme.get("/agents")).status_code == 401


async def test_refused_writes_are_recorded_with_the_token_and_its_role(registry, registry_pool):
    made = (await registry.http.post("/tokens", json={"role": "viewer"})).json()
    viewer = await registry.client(made["token"])
    await viewer.post("/agents", json=_AGENT)
    await viewer.get("/tokens")  # a refused read is not recorded
    await registry.http.delete(f"/tokens/{made['token_id']}")
    await viewer.delete("/agents/some-agent")
    refused = await _refusals(registry_pool, "default")
    assert [(entry["actor_id"], entry["role"]) for entry in refused] == [(made["token_id"], "viewer")] * 2
    assert [entry["detail"] for entry in refused] == [
        {"method": "POST", "path": "/agents", "reason": "insufficient role — developer or operator required"},
        {"method": "DELETE", "path": "/agents/some-agent", "reason": "invalid or expired token"},
    ]


async def test_a_write_that_is_refused_is_recorded_on_whichever_route(registry, registry_pool):
    viewer, refused = await registry.client_of("viewer", "acme"), []
    for route in await list_routes(viewer):
        if route.changes_something:
            for path in route.paths("anything"):
                await viewer.request(route.method, path)
                refused.append((route.method.upper(), path))
    recorded = [entry["detail"] for entry in await _refusals(registry_pool, "acme")]
    assert [(detail["method"], detail["path"]) for detail in recorded] == refused


async def test_a_suspended_tenants_refused_writes_are_in_its_log(registry, registry_pool):
    acme = await registry.client_of("developer", "acme")
    await registry.http.put("/tenants/acme", json={"status": "suspended"})
    await acme.post("/agents", json=_AGENT)
    assert [entry["detail"]["reason"] for entry in await _refusals(registry_pool, "acme")] == [
        "tenant acme is suspended"
    ]


async def test_a_refused_write_to_a_path_that_cannot_be_stored_is_refused_all_the_same(registry):
    viewer = await registry.client_of("viewer")
    for path in ("/tokens/%00", "/tenants/%ff%fe", "/tokens/" + "x" * 4000):
        assert (await viewer.delete(path)).status_code == 403, path


async def test_in_developer_mode_nobody_is_asked(registry_dsn):
    async with running_registry(registry_dsn, jamjet_dev_mode=True) as served:
        nobody = await served.client()
        assert (await nobody.post("/tenants", json={"id": "acme"})).status_code == 201
        foreign = await nobody.get("/tenants", headers={"Origin": "http://elsewhere.example"})
        assert foreign.status_code == 403


async def test_no_token_is_anywhere_in_the_database(registry, registry_pool):
    tokens = [registry.token, await registry.make_token("viewer", "acme")]
    made = (await registry.http.post("/tokens", json={"role": "operator", "name": "third"})).json()["token"]
    await (await registry.client(made)).post("/agents", json=_AGENT)
    # Who takes the token for its id is refused, which is recorded.
    await (await registry.client_of("viewer")).delete(f"/tokens/{made}")
    everything = json.dumps(await _dump(registry_pool))
    assert "/tokens/jj_***" in everything
    assert hashlib.sha256(made.encode()).hexdigest() in everything
    assert not [token for token in [*tokens, made] if token in everything or token[3:] in everything]


async def _refusals(pool, tenant_id):
    async with pool.connection() as conn:
        return await (
            await conn.execute(
                "SELECT actor_id, role, detail FROM audit_entries"
                " WHERE tenant_id = %s AND event_type = 'write_refused' ORDER BY sequence",
                [tenant_id],
            )
        ).fetchall()


async def _dump(pool):
    async with pool.connection() as conn:
        tables = await (
            await conn.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
        ).fetchall()
        return [
            row["text"]
            for table in tables
            for row in await (
                await conn.execute(f'SELECT to_jsonb(t)::text AS text FROM "{table["table_name"]}" t')
            ).fetchall()
        ]
