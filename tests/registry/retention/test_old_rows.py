"""Executions and artifacts that have been over for long go; what runs, waits or is spoken of stays."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncIterator
from hashlib import sha256

import pytest

from groundwork.postgres.pool import Pool
from registry.retention import service
from registry.retention.service import OldRows
from tests.registry.executions.runs import REVIEW, approve, paused, until
from tests.registry.registries import Served, running_registry

DAY = 86_400.0
TABLES = ("executions", "execution_events", "checkpoints", "execution_waits")


@pytest.fixture
async def registry(registry_dsn: str) -> AsyncIterator[Served]:
    async with running_registry(registry_dsn, worker=True) as served:
        yield served


def old_rows(pool: Pool, removed: Counter[str]) -> OldRows:
    return OldRows(pool, DAY, DAY, removed=removed.update)


async def counts(pool: Pool) -> Counter[str]:
    found: Counter[str] = Counter()
    async with pool.connection() as conn:
        for table in TABLES:
            row = await (await conn.execute(f"SELECT count(*) AS n FROM {table}")).fetchone()
            assert row is not None
            found[table] = row["n"]
    return found


async def age(pool: Pool, *execution_ids: str) -> None:
    async with pool.connection() as conn:
        await conn.execute(
            "UPDATE executions SET created_at = now() - interval '2 days',"
            " completed_at = CASE WHEN completed_at IS NOT NULL THEN now() - interval '2 days' END"
            " WHERE execution_id = ANY(%s::uuid[])",
            ([each.removeprefix("exec_") for each in execution_ids],),
        )


async def ended(registry: Served) -> str:
    execution_id = await paused(registry.http, REVIEW)
    await approve(registry.http, execution_id, decision="approved")
    await until(registry.http, execution_id)
    return execution_id


async def test_executions_that_ended_long_ago_go_and_those_that_run_or_are_waited_for_stay(
    registry: Served, registry_pool: Pool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    old, young, child = [await ended(registry) for _ in range(3)]
    waits = await paused(registry.http, REVIEW)
    await age(registry_pool, old, child, waits)
    async with registry_pool.connection() as conn:
        await conn.execute(
            "UPDATE executions SET parent_execution_id = %s WHERE execution_id = %s",
            (waits.removeprefix("exec_"), child.removeprefix("exec_")),
        )
    before, removed = await counts(registry_pool), Counter[str]()
    monkeypatch.setattr(service, "BATCH", 1)
    with caplog.at_level(logging.INFO):
        steps = await asyncio.gather(*(old_rows(registry_pool, removed).step("executions") for _ in range(4)))
        assert steps.count(True) == 1
        assert not await old_rows(registry_pool, removed).step("executions")
    shown = [await registry.http.get(f"/executions/{each}") for each in (old, young, child, waits)]
    assert [answer.status_code for answer in shown] == [404, 200, 200, 200]
    assert before - await counts(registry_pool) == Counter(
        {name: removed[name] for name in TABLES if removed[name]}
    )
    assert removed["execution_events"] > removed["executions"] == 1
    await approve(registry.http, waits, decision="approved")
    assert (await until(registry.http, waits))["status"] == "completed"


async def test_artifacts_go_unless_they_were_put_again_or_something_that_goes_on_names_them(
    registry: Served, registry_pool: Pool
) -> None:
    for content in ("old", "again", "named"):
        await registry.http.post("/artifacts", content=content)
    await paused(registry.http, REVIEW, file=sha256(b"named").hexdigest())
    async with registry_pool.connection() as conn:
        await conn.execute("UPDATE artifacts SET created_at = now() - interval '2 days'")
    await registry.http.post("/artifacts", content="again")
    removed = Counter[str]()
    assert not await old_rows(registry_pool, removed).step("artifacts")
    left = [
        content
        for content in ("old", "again", "named")
        if (await registry.http.get(f"/artifacts/{sha256(content.encode()).hexdigest()}")).status_code == 200
    ]
    assert (left, removed["artifacts"]) == (["again", "named"], 1)


async def test_the_settings_turn_the_sweeps_on_and_the_metrics_count(
    registry_dsn: str, registry_pool: Pool
) -> None:
    async with running_registry(registry_dsn, artifact_retention_days=1e-5) as served:
        await served.http.post("/artifacts", content="x")
        async with asyncio.timeout(20):
            while (
                'registry_old_rows_removed_total{table="artifacts"} 1.0'
                not in (await served.http.get("/metrics")).text
            ):
                await asyncio.sleep(0.1)
