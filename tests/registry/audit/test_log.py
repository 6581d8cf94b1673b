"""`GET /audit`: what was done and refused, by whom, to what, and when."""

import json
from typing import Any

import pytest

from registry.audit import service
from tests.registry.audit.logs import actor, write_entries, write_entry
from tests.registry.registries import Served


@pytest.fixture
async def log(registry: Served) -> Served:
    """A registry with five entries after the one about its token."""
    pool = registry.registry.pool
    await write_entry(pool, "agent_registered", "agent:one", actor("ann"))
    await write_entry(pool, "agent_registered", "agent:two", actor("bob"))
    await write_entry(pool, "agent_deleted", "agent:one", actor("ann"))
    await write_entry(pool, "node_completed", "node:a", actor("ann"), execution_id="exec_1")
    await write_entry(pool, "node_failed", "node:b", actor("bob"), execution_id="exec_1")
    return registry


async def test_an_entry_says_who_did_what_to_what_and_when(registry: Served) -> None:
    await write_entry(registry.registry.pool, "agent_paused", "agent:one", actor("ann"), reason="too loud")
    answer = (await registry.http.get("/audit", params={"actor_id": "ann"})).json()
    entry = answer["items"][0]
    assert entry["created_at"].endswith("Z")
    assert len(entry["hash"]) == len(entry["previous_hash"]) == 64
    known = {name: entry[name] for name in entry if name not in ("created_at", "hash", "previous_hash")}
    assert known == {
        "id": "audit_000000000002",
        "event_id": "audit_000000000002",
        "sequence": 2,
        "execution_id": None,
        "event_type": "agent_paused",
        "actor_id": "ann",
        "actor_type": "token",
        "role": "developer",
        "subject": "agent:one",
        "raw_event": {"reason": "too loud"},
        "request_id": None,
    }


async def test_the_newest_come_first(log: Served) -> None:
    answer = (await log.http.get("/audit")).json()
    assert [item["sequence"] for item in answer["items"]] == [6, 5, 4, 3, 2, 1]
    assert (answer["total"], answer["limit"], answer["offset"]) == (6, 50, 0)


@pytest.mark.parametrize(
    ("filters", "total", "found"),
    [
        ({}, 6, [5, 4]),
        ({"actor_id": "ann"}, 3, [4, 2]),
        ({"event_type": "agent_registered"}, 2, [2]),
        ({"actor_id": "bob", "event_type": "agent_registered"}, 1, []),
        ({"execution_id": "exec_1"}, 2, [5]),
        ({"execution_id": "exec_1", "actor_id": "ann", "event_type": "node_completed"}, 1, []),
        ({"execution_id": "exec_2"}, 0, []),
        ({"actor_id": "nobody"}, 0, []),
    ],
)
async def test_a_page_of_those_that_are_wanted_has_their_total(
    log: Served, filters: dict[str, str], total: int, found: list[int]
) -> None:
    answer = (await log.http.get("/audit", params={**filters, "limit": 2, "offset": 1})).json()
    assert answer["total"] == total
    assert [item["sequence"] for item in answer["items"]] == found


async def test_a_page_beyond_the_end_is_empty(log: Served) -> None:
    for filters in ({}, {"actor_id": "ann"}):
        answer = (await log.http.get("/audit", params={**filters, "offset": 2**31 - 1})).json()
        assert answer["items"] == []


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("limit=201", "limit should be less than or equal to 200"),
        ("limit=0", "limit should be greater than or equal to 1"),
        ("limit=x", "limit should be a valid integer"),
        ("offset=-1", "offset should be greater than or equal to 0"),
        ("actor_id=", "actor_id"),
        ("actor_id=%00", "actor_id contains a NUL character"),
        ("actor=ann", "actor is not known here"),
        ("limit=1&limit=2", "limit is given more than once"),
    ],
)
async def test_a_query_that_cannot_be_meant_is_refused(registry: Served, query: str, said: str) -> None:
    answer = await registry.http.get(f"/audit?{query}")
    assert answer.status_code == 400
    assert said in answer.json()["error"]


@pytest.mark.parametrize("role", ["operator", "developer", "reviewer", "viewer"])
async def test_every_role_may_read_the_log_of_its_tenant_alone(log: Served, role: str) -> None:
    client = await log.client_of(role, "acme")  # type: ignore[arg-type]
    await write_entries(log.registry.pool, 1, "acme")
    subjects = [item["subject"] for item in (await client.get("/audit")).json()["items"]]
    assert subjects[0] == "agent:1"
    assert "agent:one" not in subjects


async def test_nobody_reads_it_without_a_token(registry: Served) -> None:
    assert (await (await registry.client()).get("/audit")).status_code == 401


async def test_a_refused_write_is_recorded_with_its_path_as_it_was_sent(registry: Served) -> None:
    viewer = await registry.client_of("viewer")
    answer = await viewer.put("/tenants/%00%F0%9F%A4%96", json={})
    entry = (await registry.http.get("/audit")).json()["items"][0]
    assert answer.status_code == 403
    assert (entry["event_type"], entry["role"]) == ("write_refused", "viewer")
    assert entry["subject"] == entry["raw_event"]["path"] == "/tenants/%00%F0%9F%A4%96"
    assert entry["raw_event"]["reason"] == answer.json()["error"]
    assert entry["request_id"] == answer.headers["x-request-id"]


async def test_a_revoked_token_in_use_has_one_entry_an_hour_and_a_count(registry: Served) -> None:
    made = (await registry.http.post("/tokens", json={"role": "developer"})).json()
    token_id = made["token_id"]
    await registry.http.delete(f"/tokens/{token_id}")
    client = await registry.client(made["token"])
    statuses = {(await client.post("/agents/research-agent/heartbeat")).status_code for _ in range(30)}
    assert statuses == {401}
    assert (await refusals(registry, token_id))["total"] == 1
    async with registry.registry.pool.connection() as conn:
        await registry.registry.audit.refusals.flush()
        await conn.execute("UPDATE audit_refusals SET began_at = began_at - interval '1 hour'")
        await registry.registry.audit.refusals.flush()
        rows = await (await conn.execute("SELECT count(*) AS rows FROM audit_refusals")).fetchone()
    [counted, first] = (await refusals(registry, token_id))["items"]
    assert (first["event_type"], counted["event_type"]) == ("write_refused", "writes_refused")
    assert (counted["raw_event"]["count"], rows) == (29, {"rows": 0})
    assert not [report for report in await registry.registry.audit.verify() if report.problem]
    assert 'registry_access_refused_total{reason="token"} 30.0' in (await registry.http.get("/metrics")).text


async def refusals(registry: Served, actor_id: str) -> dict[str, Any]:
    page: dict[str, Any] = (await registry.http.get("/audit", params={"actor_id": actor_id})).json()
    return page


async def test_entries_that_follow_a_sequence_come_as_json_lines_the_oldest_first(
    log: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "STREAM_BATCH", 2)
    for query, expected in [("after=0", [1, 2, 3, 4, 5, 6]), ("after=3", [4, 5, 6]), ("after=3&limit=1", [4])]:
        answer = await log.http.get(f"/audit?{query}")
        assert answer.headers["content-type"] == "application/x-ndjson"
        assert [json.loads(line)["sequence"] for line in answer.text.splitlines()] == expected
    assert (await log.http.get("/audit?after=6")).text == ""
    refused = await log.http.get("/audit?after=1&offset=1&actor_id=ann")
    assert (refused.status_code, "not with actor_id and offset" in refused.text) == (400, True)
    page = (await log.http.get("/audit", params={"limit": 1})).json()["items"]
    assert json.loads((await log.http.get("/audit?after=5")).text) == page[0]
