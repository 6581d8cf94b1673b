"""Workflows that are started by the clock."""

import asyncio

import pytest

from tests.registry.engine.workflows import STEP, document
from tests.registry.registries import running_registry


@pytest.fixture
async def served(registry_dsn):
    async with running_registry(registry_dsn, worker=True) as served:
        await served.http.post("/workflows", json={"ir": document({"a": STEP}, [])})
        yield served


def job(**changes):
    return {"name": "nightly", "cron_expression": "* * * * * */1", "workflow_id": "test"} | changes


async def test_a_workflow_is_started_when_its_time_comes_and_says_so(served):
    created = await served.http.post("/cron", json=job(input={"x": 1}, enabled=True))
    assert (created.status_code, created.json()["name"]) == (201, "nightly")
    assert created.json()["next_run_at"].endswith("Z")
    for _ in range(100):
        [shown] = (await served.http.get("/cron")).json()["cron_jobs"]
        if shown["last_execution_id"]:
            break
        await asyncio.sleep(0.1)
    execution = (await served.http.get(f"/executions/{shown['last_execution_id']}")).json()
    assert execution["initial_input"] == {"x": 1}


async def test_one_that_is_switched_off_is_not_started(served):
    await served.http.post("/cron", json=job(enabled=False))
    await asyncio.sleep(2.5)
    [shown] = (await served.http.get("/cron")).json()["cron_jobs"]
    assert shown["last_run_at"] is None


@pytest.mark.parametrize("when", ["", "every day", "99 * * * *", "* * *", "0 0 31 2 *"])
async def test_an_expression_that_is_none_is_refused(served, when):
    answer = await served.http.post("/cron", json=job(cron_expression=when))
    assert answer.status_code == 400
    assert "cron_expression" in answer.json()["error"]


async def test_a_workflow_that_is_not_there_is_refused(served):
    assert (await served.http.post("/cron", json=job(workflow_id="nothing"))).status_code == 404


async def test_a_job_is_replaced_by_its_name_and_deleted(served):
    await served.http.post("/cron", json=job(cron_expression="0 3 * * *"))
    await served.http.post("/cron", json=job(cron_expression="0 4 * * *"))
    [shown] = (await served.http.get("/cron")).json()["cron_jobs"]
    assert shown["cron_expression"] == "0 4 * * *"
    assert (await served.http.delete("/cron/nightly")).json() == {"name": "nightly", "deleted": True}
    assert (await served.http.delete("/cron/nightly")).status_code == 404


async def test_another_tenant_sees_none(served):
    await served.http.post("/cron", json=job(cron_expression="0 3 * * *"))
    stranger = await served.client_of("operator", "acme")
    assert (await stranger.get("/cron")).json() == {"cron_jobs": []}
    assert (await stranger.delete("/cron/nightly")).status_code == 404
