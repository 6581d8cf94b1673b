"""Where an execution stands, as people look at it: its nodes, and whom it has begun."""

from uuid import UUID

from groundwork.postgres.pool import Connection
from registry.executions.models import ListedExecution
from registry.executions.store import sql


async def list_node_states(conn: Connection, execution_id: UUID) -> dict[str, str]:
    """The state of each node that was reached."""
    rows = await (await conn.execute(sql.list_node_states, {"execution_id": execution_id})).fetchall()
    return {row["node_id"]: row["state"] for row in rows}


async def list_children(conn: Connection, execution_id: UUID, limit: int) -> list[ListedExecution]:
    """The executions that this one has begun, the oldest first."""
    given = {"execution_id": execution_id, "limit": limit}
    return [ListedExecution(**row) for row in await (await conn.execute(sql.list_children, given)).fetchall()]
