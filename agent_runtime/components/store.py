"""The rows of the components that an agent has put to use."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from psycopg.types.json import Jsonb

from agent_runtime.project.slots import Kind
from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries

sql = Queries("agent_runtime.components")


@dataclass(frozen=True)
class StoredComponent:
    kind: Kind
    component_id: str
    version: int
    digest: str
    content: Mapping[str, Any]


async def list_components(conn: Connection, agent_id: str) -> list[StoredComponent]:
    rows = await (await conn.execute(sql.list_components, {"agent_id": agent_id})).fetchall()
    return [StoredComponent(**row) for row in rows]


async def put_component(conn: Connection, agent_id: str, component: StoredComponent) -> None:
    given = {
        "agent_id": agent_id,
        "kind": component.kind,
        "component_id": component.component_id,
        "version": component.version,
        "digest": component.digest,
        "content": Jsonb(dict(component.content)),
    }
    await conn.execute(sql.put_component, given)
