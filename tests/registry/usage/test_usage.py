"""What agents and executions have used: told in heartbeats, counted once, summed up by agent, day and workflow."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.registry.agents.agents import beat, get, run_agent
from tests.registry.cli.commands import registry_command
from tests.registry.executions.runs import TWO_STEPS, start, until
from tests.registry.registries import Served, running_registry

TODAY = datetime.now(UTC).strftime("%Y-%m-%d")
BEFORE = (datetime.now(UTC) - timedelta(days=40)).strftime("%Y-%m-%d")


def day(turns: int, day: str = TODAY, **more: Any) -> dict[str, Any]:
    return {"day": day, "turns": turns, "input_tokens": 100 * turns, "output_tokens": 10 * turns, **more}


async def test_an_agents_totals_are_what_its_heartbeats_say_however_often_and_by_whom(registry: Served) -> None:
    for process in ("one", "two"):
        await run_agent(registry.http, incarnation=process)
    for process, usage in (
        ("one", [day(2, cost=0.5)]),
        ("two", [day(3, failed=1, cost=0.75), day(1, BEFORE)]),
        ("one", [day(2), day(1)]),
    ):
        assert (await beat(registry.http, incarnation=process, usage=usage)).status_code == 200
    # One whose health changes is noted on another path.
    assert (await beat(registry.http, incarnation="one", health="failing", usage=[day(4)])).status_code == 200
    expected = {"turns": 5, "failed": 1, "input_tokens": 500, "output_tokens": 50, "cost": 0.75}
    assert (await get(registry.http))["usage"].items() >= expected.items()
    (listed,) = (await registry.http.get("/agents")).json()["agents"]
    assert listed["usage"].items() >= expected.items()
    stranger = await registry.client_of("operator", "acme")
    assert (await stranger.get("/usage")).json()["total"]["turns"] == 0


@pytest.mark.parametrize(
    ("usage", "field"),
    [
        ([{"turns": 1}], "usage.0.day"),
        ([{"day": "2026-02-31"}], "usage.0.day"),
        ([day(1, cost=-1.0)], "usage.0.cost"),
        ([day(-1)], "usage.0.turns"),
        ([day(1)] * 41, "usage"),
        ({}, "usage"),
    ],
)
async def test_usage_that_cannot_be_is_refused(registry: Served, usage: Any, field: str) -> None:
    answer = await beat(registry.http, usage=usage)
    assert answer.status_code == 400
    assert answer.json()["error"].startswith(f"bad request: {field}")


async def test_usage_is_summed_up_by_agent_day_and_workflow(registry_dsn: str) -> None:
    async with running_registry(registry_dsn, worker=True) as registry:
        http = registry.http
        for agent_id, turns in (("small", 1), ("large", 7)):
            await run_agent(http, agent_id, incarnation=agent_id)
            await beat(http, agent_id, incarnation=agent_id, usage=[day(turns), day(turns, BEFORE)])
        execution = await until(http, await start(http, TWO_STEPS))
        assert execution["duration_ms"] >= 0
        names = ("agent", "day", "workflow")
        by = {name: (await http.get("/usage", params={"by": name})).json() for name in names}
        assert [(group["key"], group["turns"]) for group in by["agent"]["usage"]] == [("large", 7), ("small", 1)]
        (today,) = by["day"]["usage"]
        assert (today["key"], today["turns"], today["executions"]) == (TODAY, 8, 1)
        assert [group["key"] for group in by["workflow"]["usage"]] == [TWO_STEPS["workflow_id"]]
        assert {(sums["total"]["turns"], sums["total"]["executions"]) for sums in by.values()} == {(8, 1)}
        assert (await http.get("/usage", params={"since": BEFORE})).json()["total"]["turns"] == 16
        assert (await http.get("/usage", params={"since": BEFORE, "until": TODAY})).json()["total"]["turns"] == 8
        for query in ({"by": "x"}, {"since": "now"}):
            assert (await http.get("/usage", params=query)).status_code == 400
        settings = {"jamjet_public_url": registry.url, "jamjet_token": registry.token}
        table = (await registry_command("usage", **settings)).stdout.splitlines()
        assert [line.split()[:2] for line in table[1:]] == [["large", "7"], ["small", "1"], ["total", "8"]]
        shown = await registry_command("usage", "--by", "day", "--json", **settings)
        assert json.loads(shown.stdout) == by["day"]
