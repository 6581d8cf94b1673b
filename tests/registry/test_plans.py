"""Statements that are run often read what they need, however much else there is."""

from collections.abc import Iterator
from typing import Any, LiteralString

import pytest

from groundwork.postgres import Pool
from registry.agents.store import sql as agents
from registry.executions.store import sql as executions

MANY = 5_000


@pytest.fixture
async def agents_pool(registry_pool: Pool) -> Pool:
    """Many agents, a few of them active and the rest deactivated."""
    return await filled(
        registry_pool,
        "agents",
        "INSERT INTO agents (tenant_id, agent_id, uri, status, origin, card, skills, protocols)"
        " SELECT 'default', 'agent ' || n, 'http://agent.test',"
        "        CASE WHEN n %% 1000 = 0 THEN 'active' ELSE 'deactivated' END, 'registered',"
        "        jsonb_build_object('description', repeat('x', 600)), '{}', '{}'"
        "   FROM generate_series(1, %s) AS n",
    )


@pytest.fixture
async def executions_pool(registry_pool: Pool) -> Pool:
    """Many executions that have completed, and a few that have failed."""
    return await filled(
        registry_pool,
        "executions",
        "WITH w AS (INSERT INTO workflows (tenant_id, workflow_id) VALUES ('default', 'w')),"
        "     r AS (INSERT INTO workflow_revisions"
        "                  (tenant_id, workflow_id, version, revision, digest, document)"
        "           VALUES ('default', 'w', '1', 1, '', '{}') RETURNING revision_id)"
        " INSERT INTO executions (execution_id, tenant_id, revision_id, workflow_id, workflow_version, status,"
        "                         initial_input, state, labels)"
        " SELECT gen_random_uuid(), 'default', revision_id, 'w', '1',"
        "        CASE WHEN n %% 1000 = 0 THEN 'failed' ELSE 'completed' END, '{}', '{}', '{}'"
        "   FROM r, generate_series(1, %s) AS n",
    )


async def filled(pool: Pool, table: LiteralString, insert: LiteralString) -> Pool:
    async with pool.connection() as conn:
        await conn.execute(insert, [MANY])
        await conn.execute(f"VACUUM ANALYZE {table}")
    return pool


async def test_who_is_overdue_is_looked_for_among_the_active_agents_alone(agents_pool):
    assert {scan["Index Name"] for scan in await scans(agents_pool, agents.note_overdue, "agents")} <= {
        "agents_listened_to",
        "agents_overdue",
        "agents_pkey",
    }


async def test_agents_that_are_not_active_are_counted_in_an_index(agents_pool):
    kinds = {scan["Node Type"] for scan in await scans(agents_pool, agents.count_by_status, "agents")}
    assert "Seq Scan" not in kinds
    assert "Index Only Scan" in kinds


async def test_a_late_page_of_executions_reads_no_execution_before_it(executions_pool):
    given = {"tenant_id": "default", "status": "completed", "limit": 50, "offset": MANY // 2}
    for statement in (executions.list_executions, executions.list_executions_by_status):
        found = await scans(executions_pool, statement, "executions", given)
        read = sum(scan["Actual Rows"] for scan in found if scan["Node Type"] != "Index Only Scan")
        assert read <= 200, found


async def scans(pool: Pool, statement: str, table: str, given: Any = None) -> list[dict[str, Any]]:
    """What of the plan reads the table."""
    async with pool.connection() as conn, conn.transaction(force_rollback=True):
        explained = await conn.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", given)
        row = await explained.fetchone()
    assert row is not None
    nodes = _nodes(row["QUERY PLAN"][0]["Plan"])
    return [node for node in nodes if node.get("Relation Name") == table and node["Node Type"] != "ModifyTable"]


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for child in plan.get("Plans", ()):
        yield from _nodes(child)
