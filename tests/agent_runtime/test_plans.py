"""Statements that are run often read what they need, however many threads and tasks there are."""

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from agent_runtime.a2a_server.store import sql as tasks
from agent_runtime.turns.store import sql as turns
from groundwork.postgres.pool import Pool
from tests.plans import scans

MANY = 20_000


@pytest.fixture
async def tasks_pool(pool: Pool) -> Pool:
    """Many tasks of two agents, each of a thread of its own and a second older than the one before; a few have
    failed."""
    async with pool.connection() as conn:
        await conn.execute("INSERT INTO agent_owners (agent_id) VALUES ('mine'), ('theirs')")
        await conn.execute(
            "INSERT INTO agent_threads (thread_id, owner_key)"
            " SELECT 'thread ' || n, min(owner_key) + n %% 2 FROM agent_owners, generate_series(1, %s) AS n"
            "  GROUP BY n",
            [MANY],
        )
        await conn.execute(
            "INSERT INTO a2a_tasks (task_id, thread_id, owner_key, state, version, task, status_at)"
            " SELECT 'task ' || thread_id, thread_id, owner_key,"
            "        CASE WHEN position % 1000 = 0 THEN 'FAILED' ELSE 'COMPLETED' END, 1,"
            "        convert_to(repeat('x', 600), 'UTF8'), now() - make_interval(secs => position)"
            "   FROM agent_threads"
        )
        await conn.execute(
            "INSERT INTO a2a_task_events (task_id, first_version, version, events)"
            " SELECT task_id, 2, 2, '' FROM a2a_tasks"
        )
        for table in ("agent_owners", "agent_threads", "a2a_tasks", "a2a_task_events"):
            await conn.execute(f"VACUUM ANALYZE {table}")
    return pool


@pytest.mark.parametrize(
    "wanted",
    [
        {"thread_id": "thread 778"},
        {"thread_id": "thread of nobody"},
        {"states": ["FAILED"]},
        {"since": timedelta(seconds=50)},
    ],
    ids=lambda wanted: " ".join(wanted),
)
async def test_tasks_that_are_looked_for_are_found_in_an_index(
    tasks_pool: Pool, wanted: dict[str, object]
) -> None:
    anything = dict.fromkeys(("thread_id", "states", "since", "after_at", "after_id"))
    given = {"agent_id": "mine", "caller": "", "limit": 50, "bytes": 10**9, **anything, **wanted}
    if isinstance(ago := wanted.get("since"), timedelta):
        given["since"] = datetime.now(UTC) - ago
    for statement in (tasks.list_tasks, tasks.count_tasks):
        for table in ("a2a_tasks", "a2a_task_events"):
            found = await scans(tasks_pool, statement, table, given)
            assert all(scan["Node Type"] != "Seq Scan" and scan["Actual Rows"] <= 100 for scan in found), found


@pytest.mark.parametrize("passed", [0, 9_000], ids=["first", "late"])
async def test_a_page_of_all_tasks_reads_no_more_than_it_shows(tasks_pool: Pool, passed: int) -> None:
    anything = dict.fromkeys(("thread_id", "states", "since", "after_at", "after_id"))
    place = {"after_at": datetime.now(UTC) - timedelta(seconds=2 * passed), "after_id": "z"} if passed else {}
    given = {"agent_id": "mine", "caller": "", "limit": 50, "bytes": 10**9, **anything, **place}
    found = await scans(tasks_pool, tasks.list_tasks, "a2a_tasks", given)
    assert all(scan["Node Type"] != "Seq Scan" and scan["Actual Rows"] <= 51 for scan in found), found


async def test_turns_whose_process_is_gone_are_taken_over_without_looking_through_all_threads(
    tasks_pool: Pool,
) -> None:
    living, dead = uuid4(), uuid4()
    async with tasks_pool.connection() as conn:
        await conn.execute(
            "INSERT INTO agent_processes (process_id, agent_id, lease_until)"
            " VALUES (%s, 'mine', now() + interval '1 hour')",
            [living],
        )
        await conn.execute(
            "INSERT INTO agent_turns (thread_id, task_id, process_id, status, request)"
            " SELECT thread_id, 'task ' || thread_id, CASE WHEN position <= 60 THEN %s ELSE %s END, 'running', ''"
            "   FROM agent_threads ORDER BY position LIMIT 80",
            [living, dead],
        )
        await conn.execute("VACUUM ANALYZE agent_processes")
        await conn.execute("VACUUM ANALYZE agent_turns")
    given = {"agent_id": "mine", "process_id": uuid4(), "lost": []}
    found = await scans(tasks_pool, turns.take_over_turns, "agent_threads", given)
    assert all("Index" in scan["Node Type"] for scan in found), found
    assert sum(scan["Actual Rows"] * scan["Actual Loops"] for scan in found) <= 80, found
