"""Who has to look again: a number for each tenant, raised by changes of what its agents may use."""

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries

sql = Queries("registry.generations")


async def get_generation(conn: Connection, tenant_id: str) -> int:
    row = await (await conn.execute(sql.get_generation, {"tenant_id": tenant_id})).fetchone()
    assert row is not None
    return int(row["generation"])


async def advance_generation(conn: Connection, tenant_id: str) -> None:
    """To be called late in a transaction, before its audit entry."""
    await conn.execute(sql.advance_generation, {"tenant_id": tenant_id})


async def note_agent_changed(conn: Connection, tenant_id: str, agent_id: str) -> int | None:
    """Whoever uses the agent as a component is to look again: the new generation, or None when nobody does. To be
    called late in the transaction that changes what others see of the agent, before its audit entry."""
    given = {"tenant_id": tenant_id, "agent_id": agent_id}
    row = await (await conn.execute(sql.advance_generation_for_agent, given)).fetchone()
    return int(row["generation"]) if row else None
