"""Statements that are run often read what they need, however much else there is."""

from typing import LiteralString

import pytest
from psycopg.types.json import Jsonb

from groundwork.postgres.pool import Pool
from registry.agents.store import sql as agents
from registry.audit.store import sql as audit
from registry.executions.store import sql as executions
from tests.plans import scans

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


@pytest.fixture
async def audit_pool(registry_pool: Pool) -> Pool:
    """A long log: most entries are of one kind, a tenth by each actor, every second about an execution."""
    return await filled(
        registry_pool,
        "audit_entries",
        "INSERT INTO audit_entries (tenant_id, sequence, created_at, event_type, actor_type, actor_id, subject,"
        "                           execution_id, detail, previous_hash, hash)"
        " SELECT 'default', n, now(), CASE WHEN n %% 1000 = 0 THEN 'rare' ELSE 'usual' END, 'token',"
        "        'actor ' || n %% 10, 'agent:one', CASE WHEN n %% 2 = 0 THEN 'exec_' || n / 20 END, '{}', '', ''"
        "   FROM generate_series(1, %s) AS n",
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


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"last_sequence": MANY // 2},
        {"event_type": "rare"},
        {"event_type": "usual"},
        {"actor_id": "actor 3"},
        {"execution_id": "exec_7"},
        {"event_type": "rare", "actor_id": "actor 0"},
    ],
    ids=str,
)
async def test_a_page_of_the_audit_log_reads_the_entries_that_are_on_it(audit_pool, wanted):
    anything = {"execution_id": None, "event_type": None, "actor_id": None, "last_sequence": MANY, "offset": 0}
    given = {"tenant_id": "default", "limit": 50, **anything, **wanted}
    for statement in (audit.find_extent, audit.list_entries):
        found = await scans(audit_pool, statement, "audit_entries", given)
        assert all("Index" in scan["Node Type"] and scan["Actual Rows"] <= 50 for scan in found), found


@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"after": "agent 4000"},
        {"status": "active"},
        {"status": "deactivated"},
        {"alive": True},
        {"alive": False},
        {"protocol": "a2a"},
        {"skills": ["one", "two"]},
        {"labels": Jsonb({"team": "billing"})},
        {"status": "active", "alive": False},
    ],
    ids=str,
)
async def test_a_page_of_agents_is_found_in_an_index(agents_pool, wanted):
    anything = dict.fromkeys(("status", "skills", "protocol", "alive", "trust_domain", "labels"))
    given = {"tenant_id": "default", "after": "", "limit": 50, "bytes": 1_000_000, **anything, **wanted}
    found = await scans(agents_pool, agents.list_agents, "agents", given)
    assert all(scan["Node Type"] != "Seq Scan" and scan["Actual Rows"] <= 100 for scan in found), found
