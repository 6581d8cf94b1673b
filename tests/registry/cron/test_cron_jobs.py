"""Workflows that are started by the clock."""

import asyncio
from datetime import UTC, datetime

import pytest

from registry.cron.models import Schedule
from registry.errors import InvalidRequest
from tests.registry.engine.workflows import STEP, document
from tests.registry.registries import running_registry


@pytest.fixture
async def served(registry_dsn):
    async with running_registry(registry_dsn, worker=True) as served:
        await served.http.post("/workflows", json={"ir": document({"a": STEP}, [])})
        yield served


def job(**changes):
    return {"name": "nightly", "cron_expression": "* * * * *", "workflow_id": "test"} | changes


async def make_due(served, **changes):
    """Their time has come, by the database's clock."""
    sets = "".join(f", {column} = '{value}'" for column, value in changes.items())
    async with served.registry.pool.connection() as conn:
        await conn.execute(f"UPDATE cron_jobs SET next_run_at = now() - interval '1 minute'{sets}")


async def shown_when(served, as_wanted, client=None):
    async with asyncio.timeout(20):
        while True:
            [shown] = (await (client or served.http).get("/cron")).json()["cron_jobs"]
            if as_wanted(shown):
                return shown
            await asyncio.sleep(0.05)


async def test_a_workflow_is_started_when_its_time_comes_and_says_so(served):
    created = await served.http.post("/cron", json=job(input={"x": 1}, enabled=True))
    assert (created.status_code, created.json()["name"]) == (201, "nightly")
    assert created.json()["next_run_at"].endswith("Z")
    await make_due(served)
    shown = await shown_when(served, lambda shown: shown["last_execution_id"])
    execution = (await served.http.get(f"/executions/{shown['last_execution_id']}")).json()
    assert execution["initial_input"] == {"x": 1}


async def test_one_that_is_switched_off_is_not_started(served):
    await served.http.post("/cron", json=job(name="off", enabled=False))
    await served.http.post("/cron", json=job(name="on"))
    await make_due(served)
    async with asyncio.timeout(20):
        while not (jobs := (await served.http.get("/cron")).json()["cron_jobs"])[1]["last_run_at"]:
            await asyncio.sleep(0.05)
    assert jobs[0]["last_run_at"] is None


async def test_a_job_without_a_next_time_runs_a_last_time_and_no_other_waits_for_it(served, caplog):
    acme = await served.client_of("operator", "acme")
    await acme.post("/workflows", json={"ir": document({"a": STEP}, [])})
    await acme.post("/cron", json=job(name="ended"))
    await make_due(served, cron_expression="* * * * * * 2020")
    await served.http.post("/cron", json=job())
    await make_due(served)
    assert (await shown_when(served, lambda shown: shown["last_execution_id"]))["enabled"]
    ended = await shown_when(served, lambda shown: not shown["enabled"], acme)
    assert ended["next_run_at"] is None
    assert ended["last_execution_id"]
    assert ended["last_error"].startswith("disabled: cron_expression has 7 fields")
    assert "Traceback" not in caplog.text


async def test_a_job_that_cannot_be_started_says_so_and_is_due_again(served, caplog):
    await served.http.post("/cron", json=job())
    await make_due(served)
    async with served.registry.pool.connection() as conn:  # nothing of ours writes such a document
        await conn.execute("UPDATE workflow_revisions SET document = '{}'")
    shown = await shown_when(served, lambda shown: shown["last_error"])
    assert (shown["enabled"], shown["last_execution_id"]) == (True, None)
    assert shown["next_run_at"] > shown["last_run_at"]


@pytest.mark.parametrize(
    ("when", "said"),
    [
        ("", "has 0 fields: accepted are five"),
        ("every day", "has 2 fields"),
        ("0 0 9 * * *", "has 6 fields"),
        ("*/30 * * * * *", "has 6 fields"),
        ("* * * * * * 2030", "has 7 fields"),
        ("@reboot", "or one of @hourly, @daily"),
        ("99 * * * *", "the minute '99'"),
        ("0 9-25 * * *", "the hour '9-25'"),
        ("0 9 0 * *", "the day of month '0'"),
        ("0 9 * foo *", "the month 'foo'"),
        ("0 9 * * 8", "the day of week '8'"),
        ("R * * * *", "the minute 'R'"),
        ("5-1 * * * *", "the minute '5-1'"),
        ("0 9 * nov-feb *", "the month 'nov-feb'"),
        ("0 9 * * fri-mon", "the day of week 'fri-mon'"),
        ("0 0 31 2 *", "fits no time"),
    ],
)
async def test_an_expression_that_is_none_is_refused_with_the_field_that_is_wrong(when, said):
    with pytest.raises(InvalidRequest) as refused:
        Schedule(when).next_after(datetime(2026, 1, 1, tzinfo=UTC))
    assert "cron_expression" in str(refused.value)
    assert said in str(refused.value)


async def test_a_wrong_expression_or_time_zone_is_a_bad_request(served):
    for wrong in ({"cron_expression": "0 0 9 * * *"}, {"time_zone": "Europe/Atlantis"}, {"time_zone": "../etc"}):
        answer = await served.http.post("/cron", json=job(**wrong))
        assert (answer.status_code, *wrong) == (400, answer.json()["error"].split()[2].rstrip(":"))


@pytest.mark.parametrize(
    ("when", "zone", "moment", "expected"),
    [
        ("0 9 * * *", "UTC", "2026-07-01T10:00Z", "2026-07-02T09:00Z"),
        ("0 9 * * fri-sun", "UTC", "2026-07-01T10:00Z", "2026-07-03T09:00Z"),
        ("0 9 * * *", "Europe/Berlin", "2026-07-01T10:00Z", "2026-07-02T07:00Z"),
        ("@daily", "Asia/Tokyo", "2026-07-01T10:00Z", "2026-07-01T15:00Z"),
        ("30 2 * * *", "America/New_York", "2026-03-07T12:00Z", "2026-03-08T07:00Z"),  # skipped: when it jumps
        ("30 1 * * *", "America/New_York", "2026-11-01T05:30Z", "2026-11-02T06:30Z"),  # twice: counts once
        ("*/30 * * * *", "America/New_York", "2026-11-01T05:30Z", "2026-11-01T06:00Z"),  # every half hour it is
    ],
)
async def test_times_are_those_of_the_jobs_own_time_zone(when, zone, moment, expected):
    assert Schedule(when, zone).next_after(datetime.fromisoformat(moment)) == datetime.fromisoformat(expected)


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
