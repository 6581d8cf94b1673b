"""Requests that are sent again under an `Idempotency-Key` are done once, by whichever replica."""

import asyncio

import httpx
import pytest

from groundwork.postgres.pool import Pool
from registry.repeats.store import delete_old_keys
from tests.registry.executions.runs import PAYMENT, REVIEW, TWO_STEPS, events_of, paused, until
from tests.registry.registries import Served, running_registry


@pytest.fixture
def http(registry: Served) -> httpx.AsyncClient:
    return registry.http


async def post(http: httpx.AsyncClient, path: str, key: str, body: object) -> httpx.Response:
    return await http.post(path, json=body, headers={"Idempotency-Key": key})


async def kinds(http: httpx.AsyncClient, execution_id: str) -> list[str]:
    return [event["kind"] for event in await events_of(http, execution_id)]


async def test_an_execution_that_is_started_twice_under_one_key_is_one(registry, http, registry_dsn):
    await http.post("/workflows", json={"ir": TWO_STEPS})
    body = {"workflow_id": TWO_STEPS["workflow_id"], "input": {"b": 1, "a": 2}}
    same = {"input": {"a": 2, "b": 1}, "workflow_id": body["workflow_id"]}
    async with running_registry(registry_dsn) as replica, asyncio.TaskGroup() as group:
        other = await replica.client(registry.token)
        sent = [group.create_task(post(each, "/executions", "k", body)) for each in (http, other) * 5]
        sent.append(group.create_task(post(other, "/jamjet/executions", "k", same)))
    assert {task.result().status_code for task in sent} == {201}
    assert len({task.result().text for task in sent}) == 1
    assert len((await http.get("/executions")).json()["executions"]) == 1
    refused = await post(http, "/executions", "k", body | {"input": {}})
    assert (refused.status_code, "Idempotency-Key" in refused.json()["error"]) == (409, True)
    theirs = await registry.client_of("developer")
    assert (await post(theirs, "/executions", "k", body)).json() != sent[0].result().json()


async def test_an_approval_that_is_sent_again_has_the_first_answer(http):
    execution_id = await paused(http, REVIEW)
    approval = f"/executions/{execution_id}/approve"
    first = await post(http, approval, "k", {"decision": "approved"})
    await until(http, execution_id)
    again = await post(http, approval, "k", {"decision": "approved"})
    assert (again.status_code, again.text) == (200, first.text)
    assert (await post(http, approval, "k", {"decision": "rejected"})).status_code == 409
    assert (await kinds(http, execution_id)).count("ApprovalReceived") == 1


async def test_an_event_from_outside_that_is_sent_again_is_kept_once(http):
    execution_id = await paused(http, PAYMENT)
    told, body = f"/executions/{execution_id}/external-event", {"correlation_key": "refund", "payload": 7}
    first, again = [await post(http, told, "k", body) for _ in range(2)]
    assert (again.status_code, again.text) == (200, first.text)
    assert (await kinds(http, execution_id)).count("ExternalEventReceived") == 1
    assert (await post(http, told, "k2", body)).status_code == 200
    assert (await kinds(http, execution_id)).count("ExternalEventReceived") == 2


async def test_a_refused_request_may_be_tried_again_under_its_key(http):
    body = {"workflow_id": TWO_STEPS["workflow_id"]}
    assert (await post(http, "/executions", "k", body)).status_code == 404
    await http.post("/workflows", json={"ir": TWO_STEPS})
    assert (await post(http, "/executions", "k", body)).status_code == 201


@pytest.mark.parametrize("keys", [[""], ["k" * 256], ["a key"], ["k", "k"]])
async def test_a_key_that_cannot_be_used_is_refused(http, keys):
    headers = [("Idempotency-Key", key) for key in keys]
    answer = await http.post("/executions", json={"workflow_id": "w"}, headers=headers)
    assert (answer.status_code, "Idempotency-Key" in answer.json()["error"]) == (400, True)


async def test_keys_are_forgotten_when_their_hours_are_over(http, registry_pool: Pool):
    await http.post("/workflows", json={"ir": TWO_STEPS})
    body = {"workflow_id": TWO_STEPS["workflow_id"]}
    first = await post(http, "/executions", "k", body)
    async with registry_pool.connection() as conn:
        await conn.execute("UPDATE request_keys SET created_at = now() - interval '25 hours'")
    await delete_old_keys(registry_pool, 26)
    assert (await post(http, "/executions", "k", body)).text == first.text
    await delete_old_keys(registry_pool, 24)
    assert (await post(http, "/executions", "k", body)).text != first.text
