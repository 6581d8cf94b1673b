"""What PostgreSQL does for a statement."""

from collections.abc import Iterator
from typing import Any

from groundwork.postgres.pool import Pool


async def scans(pool: Pool, statement: str, table: str, given: Any = None) -> list[dict[str, Any]]:
    """What of the plan reads the table."""
    async with pool.connection() as conn, conn.transaction(force_rollback=True):
        explained = await conn.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", given)
        row = await explained.fetchone()
    assert row is not None
    found = nodes(row["QUERY PLAN"][0]["Plan"])
    return [node for node in found if node.get("Relation Name") == table and node["Node Type"] != "ModifyTable"]


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The node and all below it."""
    yield plan
    for child in plan.get("Plans", ()):
        yield from nodes(child)
