"""What the DID document is made from."""

from collections.abc import Sequence
from dataclasses import dataclass

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries
from registry.access import PLATFORM_TENANT

sql = Queries("registry.did")


@dataclass(frozen=True)
class PublicAgent:
    """An agent that is alive, and shown to everybody."""

    tenant_id: str
    agent_id: str
    name: str
    uri: str
    protocols: Sequence[str]


async def list_public_agents(conn: Connection, limit: int) -> list[PublicAgent]:
    """Those of the platform first."""
    rows = await conn.execute(sql.list_public_agents, {"platform": PLATFORM_TENANT, "limit": limit})
    return [PublicAgent(**row) for row in await rows.fetchall()]
