"""Workers outside the registry: they ask for work, keep it while they renew, and say what came of it."""

import asyncio
from typing import Any

import pytest

from tests.registry.engine.executions import start, story, until
from tests.registry.engine.workflows import branches, document
from tests.registry.registries import Served, running_registry

FN = {"type": "python_fn", "module": "shop", "function": "orders.price"}


@pytest.fixture
async def served(registry_dsn):
    async with running_registry(registry_dsn, worker=True) as served:
        yield served


async def claim(served: Served, worker: str = "w1", *queues: str, patience: float = 5) -> dict[str, Any]:
    """The next item for that worker, which may take a moment to be there."""
    body = {"worker_id": worker, "queue_types": list(queues) or ["python_tool"]}
    deadline = asyncio.get_running_loop().time() + patience
    while True:
        answer = (await served.http.post("/work-items/claim", json=body)).json()
        if answer["claimed"] or asyncio.get_running_loop().time() > deadline:
            item: dict[str, Any] = answer.get("work_item", {})
            return item
        await asyncio.sleep(0.02)


async def settle(served: Served, item: dict[str, Any], how: str, **body: Any) -> int:
    answer = await served.http.post(f"/work-items/{item['id']}/{how}", json=body)
    return answer.status_code


async def test_a_function_is_called_with_the_state_and_what_it_returns_becomes_part_of_it(served):
    execution = await start(served.registry, document({"price": FN}, []), amount=3)
    item = await claim(served)
    assert item["payload"] | {"input": None} == {
        "workflow_id": "test",
        "workflow_version": "1.0.0",
        "node_id": "price",
        "module": "shop",
        "function": "orders.price",
        "input": None,
    }
    assert (item["payload"]["input"], item["attempt"], item["lease_fence"]) == ({"amount": 3}, 0, 1)
    assert item["execution_id"] == execution
    done = {"output": {"total": 4}, "state_patch": {"total": 4}, "duration_ms": 12, "lease_fence": 1}
    assert await settle(served, item, "complete", **done) == 200
    row = await until(served.registry, execution)
    assert (row.state, row.steps_executed) == ({"amount": 3, "total": 4}, 1)
    assert (await story(served.registry, execution))[1:5] == [
        "node_scheduled price",
        "node_started price",
        "node_completed price",
        "workflow_completed",
    ]


async def test_an_item_is_settled_once(served):
    execution = await start(served.registry, document({"price": FN}, []))
    item = await claim(served)
    answers = await asyncio.gather(*(settle(served, item, "complete", output=n) for n in range(10)))
    assert sorted(answers) == [200] + [409] * 9
    await until(served.registry, execution)
    assert (await story(served.registry, execution)).count("node_completed price") == 1


async def test_an_item_is_given_to_one_worker_only(served):
    for number in range(5):
        await start(served.registry, document({"price": FN}, [], workflow_id=f"w{number}"))
    items = await asyncio.gather(*(claim(served, f"worker-{n}", patience=30) for n in range(5)))
    assert len({item["id"] for item in items}) == 5
    assert await asyncio.gather(*(claim(served, f"late-{n}", patience=0.2) for n in range(3))) == [{}] * 3


async def test_a_wrong_fence_settles_nothing(served):
    execution = await start(served.registry, document({"price": FN}, []))
    item = await claim(served)
    assert await settle(served, item, "complete", lease_fence=7) == 409
    assert await settle(served, item, "heartbeat", worker_id="w1", lease_fence=7) == 409
    assert await settle(served, item, "heartbeat", worker_id="w1", lease_fence=1) == 200
    assert await settle(served, item, "complete", lease_fence=1, output={}) == 200
    await until(served.registry, execution)


async def test_a_failure_goes_through_the_nodes_retry_policy(served):
    ir = document({"price": FN}, [])
    ir["nodes"]["price"]["retry_policy"] = "fast"
    execution = await start(served.registry, ir)
    assert await settle(served, await claim(served), "fail", error="no stock") == 200
    again = await claim(served)
    assert again["attempt"] == 1
    assert await settle(served, again, "fail", error="still none", lease_fence=again["lease_fence"]) == 200
    row = await until(served.registry, execution)
    assert (row.status, row.error) == ("failed", "node price: still none")


async def test_the_key_is_that_of_the_round_and_the_same_for_each_attempt(served):
    nodes = {"price": FN, "again": branches(price="state.more", end=None)}
    await start(served.registry, document(nodes, [("price", "again")], retry_policies={}))
    first = await claim(served)
    await settle(served, first, "fail", error="not now")
    again = await claim(served)
    assert (again["attempt"], again["idempotency_key"]) == (1, first["idempotency_key"])
    await settle(served, again, "complete", state_patch={"more": True})
    assert (await claim(served))["idempotency_key"] != first["idempotency_key"]


async def test_a_node_that_must_not_be_run_again_is_not(served):
    ir = document({"price": FN}, [])
    ir["nodes"]["price"]["retry_policy"] = "no_retry"
    execution = await start(served.registry, ir)
    await settle(served, await claim(served), "fail", error="no")
    assert (await until(served.registry, execution)).status == "failed"


async def test_a_worker_that_does_not_know_the_node_leaves_it_to_others(served):
    execution = await start(served.registry, document({"price": FN}, []))
    item = await claim(served, "old")
    assert await settle(served, item, "fail", error="unknown node_id: price") == 200
    assert await claim(served, "old", patience=0.3) == {}
    item = await claim(served, "other")
    await settle(served, item, "complete", output=None)
    assert (await until(served.registry, execution)).status == "completed"


async def test_a_queue_may_be_that_of_one_workflow(served):
    await start(served.registry, document({"price": FN}, []))
    assert await claim(served, "w", "python_tool:another", patience=0.3) == {}
    assert await claim(served, "w", "general", patience=0.3) == {}
    assert (await claim(served, "w", "python_tool:test"))["node_id"] == "price"


async def test_cancelling_takes_the_work_back(served):
    execution = await start(served.registry, document({"price": FN}, []))
    item = await claim(served)
    await served.http.post(f"/executions/{execution}/cancel")
    assert await settle(served, item, "complete", output=1) == 409
    assert await claim(served, patience=0.3) == {}


async def test_another_tenants_worker_gets_nothing(served):
    await start(served.registry, document({"price": FN}, []))
    item = await claim(served)
    stranger = await served.client_of("developer", "acme")
    body = {"worker_id": "w1", "queue_types": ["python_tool"]}
    assert (await stranger.post("/work-items/claim", json=body)).json() == {"claimed": False}
    assert (await stranger.post(f"/work-items/{item['id']}/complete", json={})).status_code == 409


async def test_workers_are_listed_with_what_they_have_in_hand(served):
    execution = await start(served.registry, document({"price": FN}, []))
    await claim(served, "w1")
    workers = {worker["worker_id"]: worker for worker in (await served.http.get("/workers")).json()["workers"]}
    assert workers["w1"]["queue_types"] == ["python_tool"]
    assert workers["w1"]["in_hand"] == [execution]
    assert len(workers) == 2
