"""Where the admin APIs of agents are."""

from dataclasses import asdict

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries
from registry.agents.store import AgentKey

sql = Queries("registry.gateway")


async def list_admin_urls(conn: Connection, key: AgentKey, limit: int) -> list[str]:
    """Return where processes of the agent that live can be reached, the likeliest first, each place once."""
    rows = await (await conn.execute(sql.list_admin_urls, {**asdict(key), "limit": limit})).fetchall()
    return list(dict.fromkeys(row["admin_url"] for row in rows))
