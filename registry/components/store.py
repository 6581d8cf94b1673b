"""The rows behind components. Functions take a connection; the service opens transactions."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from psycopg.types.json import Jsonb

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries
from registry.agents.store import AgentKey
from registry.components.contents import Content, build_content
from registry.components.models import (
    STATES,
    STORED_KINDS,
    AgentUse,
    Component,
    ComponentKey,
    ComponentReference,
    ComponentUse,
    KnownUse,
    ListedComponent,
    PastVersion,
    Resolved,
    State,
)
from registry.components.secrecy import hide_secrets

sql = Queries("registry.components")

_LONGEST_ERROR = 1000


@dataclass(frozen=True)
class Place:
    """A component's row: the number of its latest version, and whether it is there."""

    version: int
    present: bool

    @property
    def current(self) -> int | None:
        return self.version if self.present else None


async def lock_component(conn: Connection, key: ComponentKey) -> Place:
    """To be called in a transaction: others who change the component wait for its end."""
    row = await (await conn.execute(sql.lock_component, asdict(key))).fetchone()
    assert row is not None
    return Place(**row)


async def add_version(
    conn: Connection,
    key: ComponentKey,
    version: int,
    content: Content,
    created_by: str,
    rolled_back_to: int | None = None,
) -> None:
    """From here on the component says this."""
    given = {
        **asdict(key),
        "version": version,
        "digest": content.digest,
        "content": content.text,
        "created_by": created_by,
        "rolled_back_to": rolled_back_to,
    }
    await conn.execute(sql.add_version, given)
    await conn.execute(sql.set_current, given)


async def delete_component(conn: Connection, key: ComponentKey, version: int) -> None:
    """Its history stays."""
    await conn.execute(sql.mark_deleted, {**asdict(key), "version": version})
    await conn.execute(sql.delete_component, asdict(key))


async def find_component(conn: Connection, key: ComponentKey) -> Component | None:
    if key.kind == "agent":
        row = await (await conn.execute(sql.find_agent, _agent_of(key))).fetchone()
        return _agent_in(row) if row else None
    row = await (await conn.execute(sql.find_component, asdict(key))).fetchone()
    return Component(**row) if row else None


async def find_version(conn: Connection, key: ComponentKey, version: int) -> Component | None:
    """Of a deleted component too; of an agent there is but the version that it has."""
    if key.kind == "agent":
        agent = await find_component(conn, key)
        return agent if agent and agent.version == version else None
    row = await (await conn.execute(sql.find_version, {**asdict(key), "version": version})).fetchone()
    return Component(**row) if row else None


async def list_components(
    conn: Connection, tenant_id: str, kind: str | None, after: tuple[str, str], limit: int
) -> list[ListedComponent]:
    """The next ones in the order of kind and id; without a kind those that are stored here."""
    if kind == "agent":
        rows = await conn.execute(sql.list_agents, {"tenant_id": tenant_id, "after": after[1], "limit": limit})
        return [_listed(_agent_in(row)) for row in await rows.fetchall()]
    given = {"tenant_id": tenant_id, "kind": kind, "after_kind": after[0], "after_id": after[1], "limit": limit}
    return [ListedComponent(**row) for row in await (await conn.execute(sql.list_components, given)).fetchall()]


async def list_versions(conn: Connection, key: ComponentKey, before: int | None, limit: int) -> list[PastVersion]:
    """The newest first."""
    given = {**asdict(key), "before": before, "limit": limit}
    return [PastVersion(**row) for row in await (await conn.execute(sql.list_versions, given)).fetchall()]


async def resolve(
    conn: Connection, tenant_id: str, references: Sequence[ComponentReference]
) -> list[Resolved | None]:
    """What there is of each; None where there is none."""
    stored = await _resolve_stored(conn, tenant_id, references)
    agents = await _resolve_agents(conn, tenant_id, [each.id for each in references if each.kind == "agent"])
    return [
        _for_holder(agents.get(reference.id), reference.digest) if reference.kind == "agent" else stored.get(place)
        for place, reference in enumerate(references)
    ]


async def lock_agents(conn: Connection, tenant_id: str, agent_ids: Collection[str]) -> set[str]:
    """Those that there are; nobody changes them until the transaction ends."""
    rows = await conn.execute(sql.lock_agents, {"tenant_id": tenant_id, "agent_ids": list(agent_ids)})
    return {row["agent_id"] for row in await rows.fetchall()}


async def list_used_agents(conn: Connection, tenant_id: str, agent_ids: Collection[str]) -> set[str]:
    """Which of these some process has said to use."""
    rows = await conn.execute(sql.list_used_agents, {"tenant_id": tenant_id, "agent_ids": list(agent_ids)})
    return {row["component_id"] for row in await rows.fetchall()}


async def replace_uses(conn: Connection, agent: AgentKey, incarnation: str, uses: Sequence[ComponentUse]) -> None:
    """What the process is said to run, in place of what it was said to run before."""
    process = {**asdict(agent), "incarnation": incarnation}
    await conn.execute(sql.forget_uses, process)
    columns = {
        "kinds": [use.kind for use in uses],
        "component_ids": [use.id for use in uses],
        "versions": [use.version for use in uses],
        "digests": [use.digest for use in uses],
        "statuses": [use.status for use in uses],
        "errors": [hide_secrets(use.error or "")[:_LONGEST_ERROR] for use in uses],
    }
    await conn.execute(sql.add_uses, {**process, **columns})


async def count_uses(
    conn: Connection, key: ComponentKey, digest: str | None, labels: Mapping[str, str] | None
) -> dict[State, int]:
    """How many living processes, of agents with these labels, are in which state, `digest` being that of the
    current version."""
    given = {**asdict(key), "digest": digest, "labels": Jsonb(labels) if labels else None}
    # Planned for the labels each time, as lists of agents are.
    rows = await (await conn.execute(sql.count_uses, given, prepare=False)).fetchall()
    counts: dict[State, int] = {row["state"]: row["uses"] for row in rows}
    return {state: counts.get(state, 0) for state in STATES}


async def list_uses(
    conn: Connection,
    key: ComponentKey,
    digest: str | None,
    after: tuple[str, str],
    limit: int,
    labels: Mapping[str, str] | None,
) -> list[KnownUse]:
    """The next ones in the order of agents and incarnations, of agents with these labels."""
    given = {
        **asdict(key),
        "digest": digest,
        "after_agent": after[0],
        "after_incarnation": after[1],
        "limit": limit,
        "labels": Jsonb(labels) if labels else None,
    }
    rows = await conn.execute(sql.list_uses, given, prepare=False)
    return [KnownUse(**row) for row in await rows.fetchall()]


async def list_uses_of_agent(conn: Connection, agent: AgentKey, limit: int) -> list[AgentUse]:
    given = {**asdict(agent), "limit": limit}
    return [AgentUse(**row) for row in await (await conn.execute(sql.list_uses_of_agent, given)).fetchall()]


async def _resolve_stored(
    conn: Connection, tenant_id: str, references: Sequence[ComponentReference]
) -> dict[int, Resolved]:
    if not any(reference.kind in STORED_KINDS for reference in references):
        return {}
    given = {
        "tenant_id": tenant_id,
        "kinds": [reference.kind for reference in references],
        "component_ids": [reference.id for reference in references],
        "digests": [reference.digest for reference in references],
    }
    rows = await (await conn.execute(sql.resolve_components, given)).fetchall()
    return {row.pop("place") - 1: Resolved(**row) for row in rows}


async def _resolve_agents(conn: Connection, tenant_id: str, agent_ids: Sequence[str]) -> dict[str, Component]:
    if not agent_ids:
        return {}
    given = {"tenant_id": tenant_id, "agent_ids": list(agent_ids)}
    rows = await (await conn.execute(sql.resolve_agents, given)).fetchall()
    return {row["agent_id"]: _agent_in(row) for row in rows}


def _for_holder(agent: Component | None, digest: str | None) -> Resolved | None:
    if agent is None:
        return None
    return Resolved(agent.version, agent.digest, None if agent.digest == digest else agent.content)


def _agent_of(key: ComponentKey) -> dict[str, str]:
    return {"tenant_id": key.tenant_id, "agent_id": key.component_id}


def _agent_in(row: Mapping[str, Any]) -> Component:
    """An agent as a component. The digest is of its whole card, of which the content tells where to find it."""
    content = {"url": row["uri"], "name": row["name"]}
    if row["card_url"] is not None:
        content["card_url"] = row["card_url"]
    digest = build_content({**content, "card": row["card_hash"]}).digest
    updated_at: datetime = row["updated_at"]
    return Component("agent", row["agent_id"], row["version"], digest, content, updated_at, None)


def _listed(component: Component) -> ListedComponent:
    return ListedComponent(
        component.kind,
        component.component_id,
        component.version,
        component.digest,
        component.created_at,
        component.created_by,
    )
