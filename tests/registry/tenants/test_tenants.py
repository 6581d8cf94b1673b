"""The routes of tenants."""

from datetime import datetime
from typing import Any

from registry.tenants.store import BELONGINGS, sql
from tests.registry.registries import running_registry

_KEYS = {
    "id",
    "tenant_id",
    "name",
    "status",
    "policy",
    "limits",
    "limits_not_enforced",
    "created_at",
    "updated_at",
}

# What stays of a tenant that is deleted.
_KEPT = {"tenants", "audit_entries", "audit_chains", "audit_totals", "audit_refusals"}
"""The tenant's id, and its audit log: what refusals still count becomes an entry of it within the hour."""

_BAD_TENANTS: tuple[tuple[Any, str], ...] = (
    ({}, "id is required"),
    ({"id": ""}, "id: accepted: 1 to 63 lower-case letters"),
    ({"id": "Acme"}, "id: accepted"),
    ({"id": "-acme"}, "id: accepted"),
    ({"id": "a/b"}, "id: accepted"),
    ({"id": ".."}, "id: accepted"),
    ({"id": "acmé"}, "id: accepted"),
    ({"id": "acme\n"}, "id: accepted"),
    ({"id": "a" * 64}, "id: accepted"),
    ({"id": "nul\x00"}, "id contains a NUL"),
    ({"id": 7}, "id should be"),
    ({"id": "acme", "name": "\x1b[31mred"}, "name: accepted: printable"),
    ({"id": "acme", "policy": []}, "policy should be"),
    ({"id": "acme", "policy": {"deep": ["\x00"]}}, "policy.deep contains a NUL"),
    ({"id": "acme", "limits": {"max_cats": 1}}, "limits.max_cats is not known here"),
    ({"id": "acme", "limits": {"max_agents": -1}}, "limits.max_agents should be greater"),
    ({"id": "acme", "limits": {"max_agents": "5"}}, "limits.max_agents should be a valid integer"),
    ({"id": "acme", "limits": {"max_agents": 1.5}}, "limits.max_agents should be a valid integer"),
    ({"id": "acme", "limits": {"max_agents": True}}, "limits.max_agents should be a valid integer"),
    ({"id": "acme", "limits": {"max_agents": 10**250}}, "limits.max_agents"),
    ({"id": "acme", "limits": {"max_cost_per_month_usd": 10**250}}, "limits.max_cost_per_month_usd should be"),
    ([{"id": "acme"}], "the body must be a JSON object"),
)


async def test_a_tenant_is_made_and_shown(registry):
    answer = await registry.http.post("/tenants", json={"id": "acme", "name": "Acme Corp"})
    made = answer.json()
    assert answer.status_code == 201
    assert made.keys() == _KEYS
    assert (made["id"], made["tenant_id"], made["name"], made["status"]) == ("acme", "acme", "Acme Corp", "active")
    assert (await registry.http.get("/tenants/acme")).json() == made


async def test_a_tenant_without_a_name_is_called_by_its_id(registry):
    assert (await registry.http.post("/tenants", json={"id": "acme-2_b"})).json()["name"] == "acme-2_b"


async def test_a_tenant_is_made_once(registry):
    await registry.http.post("/tenants", json={"id": "acme", "name": "first"})
    answer = await registry.http.post("/tenants", json={"id": "acme", "name": "second"})
    assert answer.status_code == 409
    assert answer.json()["error"].startswith("conflict: there is or was a tenant acme")
    assert (await registry.http.get("/tenants/acme")).json()["name"] == "first"


async def test_what_will_not_do_is_told_what_is_wrong(registry):
    for body, problem in _BAD_TENANTS:
        answer = await registry.http.post("/tenants", json=body)
        assert answer.status_code == 400, body
        assert answer.json()["error"].startswith("bad request: ")
        assert problem in answer.json()["error"]
    assert (await registry.http.get("/tenants")).json()["total"] == 1


async def test_all_tenants_are_listed_in_pages(registry):
    for number in range(4):
        await registry.http.post("/tenants", json={"id": f"tenant-{number}"})
    pages = [(await registry.http.get(f"/tenants?limit=2&offset={offset}")).json() for offset in (0, 2, 4)]
    assert [page["total"] for page in pages] == [5] * 3
    listed = [tenant["tenant_id"] for page in pages for tenant in page["tenants"]]
    assert listed == ["default", *(f"tenant-{number}" for number in range(4))]
    assert (await registry.http.get("/tenants?status=active")).status_code == 400


async def test_only_what_is_given_is_changed(registry):
    first = {"id": "acme", "name": "Acme", "policy": {"a": 1}, "limits": {"max_agents": 3}}
    made = (await registry.http.post("/tenants", json=first)).json()
    answer = await registry.http.put("/tenants/acme", json={"name": "Acme Corporation", "policy": None})
    changed = answer.json()
    assert (answer.status_code, changed["updated"], changed["name"]) == (200, True, "Acme Corporation")
    assert datetime.fromisoformat(changed["updated_at"]) > datetime.fromisoformat(made["updated_at"])
    assert (changed["policy"], changed["limits"], changed["status"]) == ({"a": 1}, {"max_agents": 3}, "active")
    assert (await registry.http.get("/tenants/acme")).json() == {
        name: value for name, value in changed.items() if name != "updated"
    }


async def test_limits_and_policy_are_replaced_as_a_whole(registry):
    first = {"id": "acme", "policy": {"a": 1}, "limits": {"max_agents": 3}}
    await registry.http.post("/tenants", json=first)
    changes = {"policy": {"b": [None, {"c": 1.5}]}, "limits": {"executions_per_minute": 0, "max_agents": None}}
    changed = (await registry.http.put("/tenants/acme", json=changes)).json()
    assert (changed["policy"], changed["limits"]) == (changes["policy"], {"executions_per_minute": 0})


async def test_a_limit_that_nobody_enforces_is_named(registry):
    limits = {"max_agents": 3, "max_workflows": 5, "max_tokens_per_month": 10**12, "max_cost_per_month_usd": 9.5}
    made = (await registry.http.post("/tenants", json={"id": "acme", "limits": limits})).json()
    assert made["limits"] == limits
    assert made["limits_not_enforced"] == ["max_cost_per_month_usd", "max_tokens_per_month", "max_workflows"]


async def test_an_object_as_it_was_read_can_be_sent_back(registry):
    made = (await registry.http.post("/tenants", json={"id": "acme", "limits": {"max_agents": 1}})).json()
    answer = await registry.http.put("/tenants/acme", json=made | {"status": "suspended"})
    assert (answer.status_code, answer.json()["status"]) == (200, "suspended")


async def test_an_unknown_status_is_refused_and_changes_nothing(registry):
    await registry.http.post("/tenants", json={"id": "acme"})
    for status in ("frozen", "deleted", "ACTIVE", "", 1, ["active"]):
        answer = await registry.http.put("/tenants/acme", json={"name": "new", "status": status})
        assert answer.status_code == 400, status
        assert "'active', 'suspended' or 'archived'" in answer.json()["error"]
    assert (await registry.http.get("/tenants/acme")).json()["name"] == "acme"


async def test_the_platforms_own_tenant_stays(registry):
    refused = [
        await registry.http.put("/tenants/default", json={"status": "suspended"}),
        await registry.http.put("/tenants/default", json={"status": "archived", "name": "x"}),
        await registry.http.delete("/tenants/default"),
    ]
    assert [answer.status_code for answer in refused] == [409] * 3
    renamed = {"name": "Ours", "status": "active", "limits": {"max_agents": 9}}
    assert (await registry.http.put("/tenants/default", json=renamed)).status_code == 200


async def test_only_a_tenant_that_is_out_of_use_can_be_deleted(registry):
    await registry.http.post("/tenants", json={"id": "acme"})
    answer = await registry.http.delete("/tenants/acme")
    assert (answer.status_code, answer.json()) == (
        409,
        {"error": "conflict: tenant acme is active; suspend or archive it first"},
    )
    await registry.http.put("/tenants/acme", json={"status": "archived"})
    answer = await registry.http.delete("/tenants/acme")
    assert (answer.status_code, answer.json()) == (200, {"tenant_id": "acme", "deleted": True})


async def test_a_deleted_tenant_is_no_more_and_its_id_stays_taken(registry):
    await _delete_tenant(registry, "acme")
    assert (await registry.http.get("/tenants/acme")).status_code == 404
    assert (await registry.http.put("/tenants/acme", json={"status": "active"})).status_code == 404
    assert (await registry.http.delete("/tenants/acme")).status_code == 404
    assert (await registry.http.get("/tenants")).json()["total"] == 1
    assert (await registry.http.post("/tenants", json={"id": "acme"})).status_code == 409
    assert (await registry.http.post("/tokens", json={"role": "viewer", "tenant": "acme"})).status_code == 404


async def test_deleting_a_tenant_leaves_others_and_the_audit_log(registry, registry_pool):
    beta = await registry.client_of("developer", "beta")
    await _delete_tenant(registry, "acme")
    assert (await beta.get("/agents")).status_code == 200
    assert {"audit_entries", "tenants"} <= await _tables_with_rows(registry_pool, "acme") <= _KEPT


async def test_every_table_of_tenants_things_is_emptied_with_a_tenant(registry_pool):
    """A new noun joins `BELONGINGS`; rows that go with those of another table need nothing."""
    cascading = await _rows(
        registry_pool,
        "SELECT conrelid::regclass::text AS name FROM pg_constraint WHERE contype = 'f' AND confdeltype = 'c'",
    )
    tables = set(await _tenants_tables(registry_pool)) - _KEPT - {row["name"] for row in cascading}
    statements = [getattr(sql, f"delete_{noun}") for noun in BELONGINGS]
    assert {table for table in tables if not any(f"DELETE FROM {table} " in text for text in statements)} == set()


async def test_ids_that_no_tenant_can_have_are_not_found(registry):
    for tenant_id in ("nobody", "%00", "%ff", "A%20B", "..%2f", "x" * 5000):
        for method in ("GET", "PUT", "DELETE"):
            answer = await registry.http.request(method, f"/tenants/{tenant_id}", json={})
            assert answer.status_code == 404, (method, tenant_id)


async def test_an_operator_of_another_tenant_sees_that_one_alone(registry):
    await registry.http.post("/tenants", json={"id": "beta"})
    acme = await registry.client_of("operator", "acme")
    listed = (await acme.get("/tenants")).json()
    assert ([tenant["id"] for tenant in listed["tenants"]], listed["total"]) == (["acme"], 1)
    statuses = {path: (await acme.get(path)).status_code for path in ("/tenants/acme", "/tenants/beta")}
    assert statuses == {"/tenants/acme": 200, "/tenants/beta": 404}
    assert (await acme.get("/tenants/default")).status_code == 404


async def test_an_operator_of_another_tenant_changes_none(registry):
    acme = await registry.client_of("operator", "acme")
    answers = [
        await acme.post("/tenants", json={"id": "gamma"}),
        await acme.put("/tenants/acme", json={"limits": {}}),
        await acme.put("/tenants/acme", content=b"not even JSON"),
        await acme.delete("/tenants/default"),
    ]
    assert [answer.status_code for answer in answers] == [403] * 4
    assert answers[0].json() == {"error": "insufficient role — operator of tenant default required"}


async def test_what_is_done_to_a_tenant_is_in_the_platforms_log(registry, registry_pool):
    limits = {"max_agents": 2}
    await registry.http.post("/tenants", json={"id": "acme", "limits": limits})
    await registry.http.put("/tenants/acme", json={"name": "Acme", "limits": limits, "status": "suspended"})
    await registry.http.delete("/tenants/acme")
    entries = await _rows(
        registry_pool,
        "SELECT tenant_id, event_type, detail FROM audit_entries WHERE subject = 'tenant:acme' ORDER BY sequence",
    )
    changed = {"name": {"from": "acme", "to": "Acme"}, "status": {"from": "active", "to": "suspended"}}
    assert [tuple(entry.values()) for entry in entries] == [
        ("default", "tenant_created", {"name": "acme", "policy": {}, "limits": limits}),
        ("default", "tenant_updated", {"changed": changed}),
        ("default", "tenant_deleted", {"deleted": dict.fromkeys(BELONGINGS, 0)}),
    ]


async def test_tenants_survive_a_restart(registry, registry_dsn):
    made = (await registry.http.post("/tenants", json={"id": "acme", "policy": {"a": [1]}})).json()
    async with running_registry(registry_dsn) as again:
        assert (await again.http.get("/tenants/acme")).json() == made


async def _delete_tenant(registry, tenant_id):
    """Of a tenant that has something to lose."""
    developer = await registry.client_of("developer", tenant_id)
    agent = {"id": "gone-agent", "uri": "http://127.0.0.1:9/", "name": "Gone"}
    await developer.post("/agents", json=agent)
    await registry.http.put(f"/tenants/{tenant_id}", json={"status": "suspended"})
    assert (await registry.http.delete(f"/tenants/{tenant_id}")).status_code == 200


async def _tenants_tables(pool):
    rows = await _rows(
        pool,
        "SELECT table_name FROM information_schema.columns JOIN information_schema.tables"
        " USING (table_schema, table_name)"
        " WHERE table_schema = 'public' AND table_type = 'BASE TABLE' AND column_name = 'tenant_id'",
    )
    return [row["table_name"] for row in rows]


async def _tables_with_rows(pool, tenant_id):
    return {
        table
        for table in await _tenants_tables(pool)
        if await _rows(pool, f'SELECT FROM "{table}" WHERE tenant_id = %s', tenant_id)
    }


async def _rows(pool, statement, *given):
    async with pool.connection() as conn:
        return await (await conn.execute(statement, given or None)).fetchall()
