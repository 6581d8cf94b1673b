"""Events from outside wake what waits for them, whichever of the two comes first."""

from typing import Any

import httpx
import pytest

from tests.registry.engine.workflows import document
from tests.registry.executions.runs import PAYMENT, events_of, start, until
from tests.registry.registries import Served

PAID: dict[str, Any] = {"correlation_key": "payment-received", "payload": {"amount": 500, "currency": "USD"}}
AFTER_A_REVIEW = document(
    {"review": {"type": "human_approval"}, "wait": {"type": "wait", "correlation_key": "payment-received"}},
    [("review", "wait")],
)


@pytest.fixture
def http(registry: Served) -> httpx.AsyncClient:
    return registry.http


async def tell(http, execution_id, body):
    return await http.post(f"/executions/{execution_id}/external-event", json=body)


async def test_an_event_wakes_what_waits_for_its_key(http):
    execution_id = await start(http, PAYMENT)
    await until(http, execution_id, "paused")
    answer = await tell(http, execution_id, PAID)
    assert (answer.status_code, answer.json()) == (200, {"execution_id": execution_id, "accepted": True})
    assert (await until(http, execution_id))["state"] == PAID["payload"]
    event = next(
        event for event in await events_of(http, execution_id) if event["kind"] == "ExternalEventReceived"
    )
    assert event["node_id"] == "wait"
    assert event["data"].items() >= PAID.items()


async def test_an_event_that_comes_too_early_is_kept(http):
    execution_id = await start(http, AFTER_A_REVIEW)
    await until(http, execution_id, "paused")
    assert (await tell(http, execution_id, PAID)).status_code == 200
    assert (await http.get(f"/executions/{execution_id}")).json()["status"] == "paused"
    await http.post(f"/executions/{execution_id}/approve", json={"decision": "approved"})
    execution = await until(http, execution_id)
    assert execution["state"].items() >= PAID["payload"].items()


async def test_an_event_with_another_key_wakes_nothing(http):
    execution_id = await start(http, PAYMENT)
    await until(http, execution_id, "paused")
    assert (await tell(http, execution_id, {"correlation_key": "refund"})).status_code == 200
    assert (await http.get(f"/executions/{execution_id}")).json()["status"] == "paused"


@pytest.mark.parametrize("body", [{}, {"correlation_key": ""}, {"correlation_key": 7}, {"payload": {}}])
async def test_an_event_without_a_key_is_refused(http, body):
    answer = await tell(http, await start(http, PAYMENT), body)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("bad request: correlation_key")


async def test_what_an_event_brings_is_merged_into_the_state(http):
    execution_id = await start(http, PAYMENT, gone=1, order={"id": 7, "open": True})
    await until(http, execution_id, "paused")
    payload = {"gone": None, "order": {"open": None, "paid": 1}}
    await tell(http, execution_id, {"correlation_key": "payment-received", "payload": payload})
    assert (await until(http, execution_id))["state"] == {"order": {"id": 7, "paid": 1}}
