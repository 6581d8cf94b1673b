"""The routes of tokens."""

from datetime import datetime, timedelta
from typing import Any

_NEVER_SHOWN = ("token", "token_hash")

_LIFETIMES = {"45m": 45 * 60, "12h": 12 * 3600, "3600s": 3600, 90: 90, "36500d": 36_500 * 86_400}

_BAD_BODIES: tuple[tuple[Any, str], ...] = (
    ({}, "role is required"),
    ({"role": "admin"}, "role should be"),
    ({"role": 3}, "role should be"),
    ({"role": "viewer", "expires": "soon"}, "expires: accepted: a text such as 30d"),
    ({"role": "viewer", "expires": "30"}, "expires: accepted"),
    ({"role": "viewer", "expires": 0}, "expires: accepted: one second to"),
    ({"role": "viewer", "expires": -5}, "expires: accepted"),
    ({"role": "viewer", "expires": 10**200}, "expires: accepted"),
    ({"role": "viewer", "expires": "999999999999d"}, "expires: accepted"),
    ({"role": "viewer", "expires": True}, "expires: accepted"),
    ({"role": "viewer", "expires": 1.5}, "expires: accepted"),
    ({"role": "viewer", "name": "x" * 256}, "at most 255 characters"),
    ({"role": "viewer", "name": "two\nlines"}, "name: accepted: printable"),
    ({"role": "viewer", "name": "nul\x00"}, "name contains a NUL"),
    ({"role": "viewer", "tenant": ""}, "tenant: accepted"),
    ({"role": "viewer", "tenant": ["acme"]}, "tenant should be"),
    ({"role": "viewer", "tenant_id": "acme"}, "tenant_id is not known here"),
    ([], "the body must be a JSON object"),
    ([{"role": "viewer"}], "the body must be a JSON object"),
    ("viewer", "the body must be a JSON object"),
)

_BAD_QUERIES = (
    "limit=0",
    "limit=201",
    "limit=x",
    "limit=%ff",
    "limit=1&limit=2",
    "offset=-1",
    "offset=99999999999999999999",
    "role=viewer",
    "tenant=%00",
    "tenant=A%20B",
)


async def test_a_created_token_is_shown_once_and_lets_in(registry):
    answer = await registry.http.post("/tokens", json={"role": "developer", "name": "ci", "expires": "30d"})
    made = answer.json()
    assert answer.status_code == 201
    assert (made["tenant_id"], made["role"], made["name"], made["status"]) == (
        "default",
        "developer",
        "ci",
        "active",
    )
    lasts = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
    assert lasts == timedelta(days=30)
    assert (await (await registry.client(made["token"])).get("/agents")).status_code == 200


async def test_a_token_is_never_shown_again(registry):
    made = (await registry.http.post("/tokens", json={"role": "viewer"})).json()
    listed = (await registry.http.get("/tokens")).json()
    one = (await registry.http.get(f"/tokens/{made['token_id']}")).json()
    assert listed["total"] == 2
    assert one == {name: value for name, value in made.items() if name != "token"}
    for shown in [one, *listed["tokens"]]:
        assert not [name for name in _NEVER_SHOWN if name in shown]


async def test_how_long_a_token_lasts_can_be_said_in_several_units(registry):
    for expires, seconds in _LIFETIMES.items():
        made = (await registry.http.post("/tokens", json={"role": "viewer", "expires": expires})).json()
        lasts = datetime.fromisoformat(made["expires_at"]) - datetime.fromisoformat(made["created_at"])
        assert lasts.total_seconds() == seconds, expires


async def test_a_token_without_an_end_has_none(registry):
    for body in ({"role": "viewer"}, {"role": "viewer", "expires": None}):
        assert (await registry.http.post("/tokens", json=body)).json()["expires_at"] is None


async def test_a_body_that_will_not_do_is_told_what_is_wrong(registry):
    for body, problem in _BAD_BODIES:
        answer = await registry.http.post("/tokens", json=body)
        assert (answer.status_code, answer.json()["error"][:13]) == (400, "bad request: "), body
        assert problem in answer.json()["error"]


async def test_a_query_that_will_not_do_is_refused(registry):
    for query in _BAD_QUERIES:
        assert (await registry.http.get(f"/tokens?{query}")).status_code == 400, query


async def test_an_id_that_no_token_has_is_not_found(registry):
    for token_id in ("tok_0000000000000000", "%00", "%ff", "a%20b", "..%2f", "x" * 5000):
        for method in ("GET", "DELETE"):
            assert (await registry.http.request(method, f"/tokens/{token_id}")).status_code == 404, token_id


async def test_a_list_comes_in_pages_in_the_order_of_creation(registry):
    names = [f"token {number}" for number in range(5)]
    for name in names:
        await registry.http.post("/tokens", json={"role": "viewer", "name": name})
    pages = [(await registry.http.get(f"/tokens?limit=2&offset={offset}")).json() for offset in (0, 2, 4, 6)]
    assert [page["total"] for page in pages] == [6] * 4
    assert [token["name"] for page in pages for token in page["tokens"]] == ["", *names]


async def test_revoking_again_is_harmless(registry):
    made = (await registry.http.post("/tokens", json={"role": "viewer"})).json()
    for _ in range(2):
        answer = await registry.http.delete(f"/tokens/{made['token_id']}")
        assert (answer.status_code, answer.json()) == (200, {"token_id": made["token_id"], "revoked": True})
    shown = (await registry.http.get(f"/tokens/{made['token_id']}")).json()
    assert shown["status"] == "revoked"
    assert shown["revoked_at"] is not None


async def test_the_last_operators_token_may_be_revoked(registry):
    own = (await registry.http.get("/tokens")).json()["tokens"][0]["token_id"]
    assert (await registry.http.delete(f"/tokens/{own}")).status_code == 200
    assert (await registry.http.get("/tokens")).status_code == 401


async def test_it_shows_when_a_token_was_last_used(registry):
    made = (await registry.http.post("/tokens", json={"role": "viewer"})).json()
    assert (await registry.http.get(f"/tokens/{made['token_id']}")).json()["last_used_at"] is None
    bearer = await registry.client(made["token"])
    await bearer.get("/agents")
    used = (await registry.http.get(f"/tokens/{made['token_id']}")).json()["last_used_at"]
    assert used >= made["created_at"]


async def test_the_use_of_a_revoked_token_is_none(registry):
    made = (await registry.http.post("/tokens", json={"role": "viewer"})).json()
    await registry.http.delete(f"/tokens/{made['token_id']}")
    await (await registry.client(made["token"])).get("/agents")
    assert (await registry.http.get(f"/tokens/{made['token_id']}")).json()["last_used_at"] is None


async def test_an_operator_manages_the_tokens_of_its_own_tenant_alone(registry):
    acme, beta = [await registry.client_of("operator", tenant) for tenant in ("acme", "beta")]
    made = (await acme.post("/tokens", json={"role": "viewer"})).json()
    assert made["tenant_id"] == "acme"
    assert (await acme.get("/tokens?tenant=acme")).json()["total"] == 2
    assert {token["tenant_id"] for token in (await beta.get("/tokens")).json()["tokens"]} == {"beta"}
    assert (await beta.get("/tokens?tenant=acme")).status_code == 404
    assert (await beta.get(f"/tokens/{made['token_id']}")).status_code == 404
    assert (await beta.delete(f"/tokens/{made['token_id']}")).status_code == 404
    assert (await beta.post("/tokens", json={"role": "viewer", "tenant": "acme"})).status_code == 403


async def test_an_operator_of_the_platform_manages_the_tokens_of_all_tenants(registry):
    await registry.http.post("/tenants", json={"id": "acme"})
    made = (await registry.http.post("/tokens", json={"role": "viewer", "tenant": "acme"})).json()
    assert made["tenant_id"] == "acme"
    assert (await registry.http.get("/tokens")).json()["total"] == 2
    assert (await registry.http.get("/tokens?tenant=acme")).json()["total"] == 1
    assert (await registry.http.delete(f"/tokens/{made['token_id']}")).status_code == 200


async def test_there_are_no_tokens_of_a_tenant_that_is_not_there(registry):
    answer = await registry.http.post("/tokens", json={"role": "viewer", "tenant": "nobody"})
    assert (answer.status_code, answer.json()) == (404, {"error": "not found: tenant nobody"})
    assert (await registry.http.get("/tokens?tenant=nobody")).status_code == 404


async def test_making_and_revoking_are_in_the_log_of_the_tokens_tenant(registry, registry_pool):
    await registry.http.post("/tenants", json={"id": "acme"})
    wanted = {"role": "viewer", "tenant": "acme", "name": "ci"}
    made = (await registry.http.post("/tokens", json=wanted)).json()
    for _ in range(2):
        await registry.http.delete(f"/tokens/{made['token_id']}")
    async with registry_pool.connection() as conn:
        rows = await (
            await conn.execute(
                "SELECT event_type, subject, detail FROM audit_entries WHERE tenant_id = 'acme' ORDER BY sequence"
            )
        ).fetchall()
    assert {row["subject"] for row in rows} == {f"token:{made['token_id']}"}
    about = {"role": "viewer", "name": "ci"}
    assert [(row["event_type"], row["detail"]) for row in rows] == [
        ("token_created", {**about, "expires_at": None}),
        ("token_revoked", {**about, "was_revoked_before": False}),
        ("token_revoked", {**about, "was_revoked_before": True}),
    ]
