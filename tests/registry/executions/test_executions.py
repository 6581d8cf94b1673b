"""Executions are started, listed, shown and cancelled over HTTP as JamJet's reference says."""

import asyncio
import re
from uuid import UUID

import httpx
import pytest

from tests.registry.executions.runs import PAYMENT, REVIEW, TWO_STEPS, approve, events_of, paused, start, until
from tests.registry.registries import Served

EXECUTION_KEYS = {
    *(
        "execution_id",
        "id",
        "workflow_id",
        "workflow_version",
        "status",
        "state",
        "current_state",
        "initial_input",
    ),
    *("steps_executed", "created_at", "started_at", "updated_at", "completed_at", "error", "detail", "labels"),
    *("segment_number", "cost_usd", "tokens_used", "parent_execution_id", "parent_node_id", "duration_ms"),
}
MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")


@pytest.fixture
def http(registry: Served) -> httpx.AsyncClient:
    return registry.http


async def test_an_execution_is_started_and_runs_to_its_end(http):
    execution_id = await start(http, TWO_STEPS, query="what?")
    assert re.fullmatch(r"exec_[0-9a-f]{32}", execution_id)
    execution = await until(http, execution_id)
    assert set(execution) == EXECUTION_KEYS
    assert (execution["status"], execution["steps_executed"]) == ("completed", 2)
    assert execution["id"] == execution["execution_id"] == execution_id
    assert execution["state"] == execution["current_state"] == execution["initial_input"] == {"query": "what?"}
    assert (execution["error"], execution["detail"], execution["labels"]) == (None, None, {})
    for moment in ("created_at", "started_at", "updated_at", "completed_at"):
        assert MOMENT.fullmatch(execution[moment])


async def test_without_a_version_the_latest_runs(http):
    for version in ("1.9.0", "1.10.0", "1.2.0"):
        await http.post("/workflows", json={"ir": TWO_STEPS | {"version": version}})
    latest = (await http.post("/executions", json={"workflow_id": "test"})).json()["execution_id"]
    chosen = {"workflow_id": "test", "workflow_version": "1.9.0", "input": None}
    older = (await http.post("/executions", json=chosen)).json()["execution_id"]
    assert (await until(http, latest))["workflow_version"] == "1.10.0"
    assert (await until(http, older))["workflow_version"] == "1.9.0"


@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({}, 400, "bad request: workflow_id is required"),
        ({"workflow_id": "test", "input": [1]}, 400, "bad request: input should be an object"),
        ({"workflow_id": 7}, 400, "bad request: workflow_id should be a valid string"),
        ({"workflow_id": "nobody's"}, 404, "not found: workflow nobody's"),
        ({"workflow_id": "test", "workflow_version": "9"}, 404, "not found: workflow test version 9"),
    ],
)
async def test_what_cannot_be_started_is_refused(http, body, status, said):
    await http.post("/workflows", json={"ir": TWO_STEPS})
    answer = await http.post("/executions", json=body)
    assert (answer.status_code, answer.json()) == (status, {"error": said})


async def test_executions_are_listed_the_newest_first_without_their_state(http):
    started = [await start(http, PAYMENT, number=number) for number in range(3)]
    listed = (await http.get("/executions")).json()["executions"]
    assert [execution["execution_id"] for execution in listed] == started[::-1]
    assert set(listed[0]) == EXECUTION_KEYS - {"state", "current_state", "initial_input"}
    page = (await http.get("/executions", params={"limit": 1, "offset": 1})).json()["executions"]
    assert [execution["execution_id"] for execution in page] == [started[1]]


async def test_executions_are_listed_by_status(http):
    paused, ended = await start(http, PAYMENT), await start(http, TWO_STEPS)
    await until(http, paused, "paused")
    await until(http, ended)
    for status, expected in {"paused": [paused], "completed": [ended], "cancelled": []}.items():
        listed = (await http.get("/executions", params={"status": status})).json()["executions"]
        assert [execution["execution_id"] for execution in listed] == expected, status


@pytest.mark.parametrize(
    "query", ["status=done", "limit=0", "limit=201", "limit=x", "offset=-1", "state=paused", "limit=1&limit=2"]
)
async def test_a_list_that_makes_no_sense_is_refused(http, query):
    answer = await http.get(f"/executions?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("bad request: ")


async def test_an_execution_is_found_by_every_spelling_of_its_id(http):
    execution_id = await start(http, PAYMENT)
    digits = execution_id.removeprefix("exec_")
    for spelling in (execution_id, digits, str(UUID(digits)), digits.upper()):
        answer = await http.get(f"/executions/{spelling}")
        assert (answer.status_code, answer.json()["execution_id"]) == (200, execution_id), spelling


ROUTES = [
    ("GET", ""),
    ("GET", "/events"),
    ("GET", "/events?stream=true"),
    ("GET", "/approvals"),
    ("POST", "/cancel"),
    ("POST", "/approve"),
    ("POST", "/external-event"),
]
BODY = {"decision": "approved", "correlation_key": "payment-received"}


@pytest.mark.parametrize("name", ["exec_abc123", f"exec_{'0' * 32}", "exec_" + "_" * 32, "0" * 31, "é"])
async def test_an_execution_that_is_not_there_is_not_found(http, name):
    for method, path in ROUTES:
        answer = await http.request(method, f"/executions/{name}{path}", json=BODY)
        assert (answer.status_code, answer.json()) == (404, {"error": f"not found: execution {name}"}), path


async def test_another_tenants_execution_is_not_found(registry, http):
    execution_id = await paused(http, REVIEW)
    stranger = await registry.client_of("operator", "acme")
    for method, path in ROUTES:
        answer = await stranger.request(method, f"/executions/{execution_id}{path}", json=BODY)
        assert (answer.status_code, answer.json()) == (404, {"error": f"not found: execution {execution_id}"})
    assert (await stranger.get("/executions")).json() == {"executions": []}
    assert (await http.get(f"/executions/{execution_id}")).json()["status"] == "paused"


async def test_who_may_not_write_starts_and_decides_nothing(registry, http):
    execution_id = await start(http, REVIEW)
    reviewer = await registry.client_of("reviewer")
    assert (await reviewer.get(f"/executions/{execution_id}")).status_code == 200
    writes = ["/executions", *(f"/executions/{execution_id}{path}" for method, path in ROUTES if method == "POST")]
    for path in writes:
        assert (await reviewer.post(path, json=BODY | {"workflow_id": "test"})).status_code == 403, path


async def test_an_execution_is_cancelled_once(http):
    execution_id = await paused(http, REVIEW)
    answer = await http.post(f"/executions/{execution_id}/cancel")
    assert (answer.status_code, answer.json()) == (200, {"execution_id": execution_id, "status": "cancelled"})
    again = await http.post(f"/executions/{execution_id}/cancel")
    said = {"error": f"conflict: execution {execution_id} is cancelled"}
    assert (again.status_code, again.json()) == (409, said)
    assert [event["kind"] for event in await events_of(http, execution_id)].count("WorkflowCancelled") == 1
    assert (await http.get(f"/executions/{execution_id}/approvals")).json()["pending"] == []


async def test_nothing_more_can_be_done_about_an_execution_that_has_ended(http):
    execution_id = await start(http, TWO_STEPS)
    await until(http, execution_id)
    before = await events_of(http, execution_id)
    for path in ("cancel", "approve", "external-event"):
        answer = await http.post(f"/executions/{execution_id}/{path}", json=BODY)
        said = {"error": f"conflict: execution {execution_id} is completed"}
        assert (answer.status_code, answer.json()) == (409, said), path
    assert await events_of(http, execution_id) == before


async def test_a_tenant_has_no_more_executions_at_once_than_it_may(registry):
    http = await registry.client_of("developer", "acme")
    await registry.http.put("/tenants/acme", json={"limits": {"max_concurrent_executions": 2}})
    await http.post("/workflows", json={"ir": PAYMENT})
    answers = await asyncio.gather(*(http.post("/executions", json={"workflow_id": "test"}) for _ in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, 201, 429, 429, 429, 429]
    refused = next(answer for answer in answers if answer.status_code == 429)
    assert refused.json() == {"error": "limit reached: tenant acme may have 2 executions at once"}
    started = next(answer for answer in answers if answer.status_code == 201).json()["execution_id"]
    await http.post(f"/executions/{started}/cancel")
    assert (await http.post("/executions", json={"workflow_id": "test"})).status_code == 201


async def test_a_tenant_starts_no_more_executions_a_minute_than_it_may(registry):
    http = await registry.client_of("developer", "acme")
    await registry.http.put("/tenants/acme", json={"limits": {"executions_per_minute": 1}})
    execution_id = await start(http, TWO_STEPS)
    await until(http, execution_id)
    answer = await http.post("/executions", json={"workflow_id": "test"})
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "60")


async def test_what_is_done_to_an_execution_is_in_the_audit_log(http):
    execution_id = await paused(http, REVIEW)
    await http.post(f"/executions/{execution_id}/external-event", json={"correlation_key": "k", "payload": {}})
    assert (await approve(http, execution_id)).status_code == 200
    await until(http, execution_id)
    items = (await http.get("/audit", params={"execution_id": execution_id})).json()["items"]
    types = [item["event_type"] for item in items]
    assert types == ["approval_received", "external_event_received", "execution_started"]
