"""The rows behind agents and their processes. Functions take a connection; the service opens transactions."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from psycopg.types.json import Jsonb

from groundwork.postgres.pool import Connection
from groundwork.postgres.sql import Queries
from registry.agents.cards import Card
from registry.agents.lifecycle import Status
from registry.agents.models import (
    DEFAULT_HEARTBEAT_SECONDS,
    UNNAMED,
    Agent,
    Entry,
    Heard,
    Heartbeat,
    Instance,
    Origin,
    Selection,
    Traced,
)
from registry.checks import is_id
from registry.errors import NotFound

sql = Queries("registry.agents")

INSTANCES_SHOWN = 100
_LONGEST_REASON = 1000


@dataclass(frozen=True)
class AgentKey:
    tenant_id: str
    agent_id: str


@dataclass(frozen=True)
class FoundAgents:
    """Agents in the order of their ids; `has_more`: there are others after them."""

    agents: list[Agent]
    has_more: bool


@dataclass(frozen=True)
class PutAgent:
    """An entry as it is now; `component_version` counts the changes of its card."""

    status: Status
    component_version: int
    component_generation: int


@dataclass(frozen=True)
class NotedAgent:
    """An agent that is overdue since the last look, or no longer."""

    tenant_id: str
    agent_id: str
    status: Status
    is_overdue: bool


@dataclass(frozen=True)
class PurgedAgent:
    tenant_id: str
    agent_id: str
    uri: str


@dataclass(frozen=True)
class DueProbe:
    """An agent whose card is to be looked for at `card_url`; `uri` and `card_id` are those of the card it has."""

    tenant_id: str
    agent_id: str
    uri: str
    card_url: str
    card_id: str | None

    @property
    def key(self) -> AgentKey:
        return AgentKey(self.tenant_id, self.agent_id)


async def find_agent_at(conn: Connection, tenant_id: str, uri: str) -> str | None:
    """The id of the agent that is registered with this URI."""
    row = await (await conn.execute(sql.find_agent_at, {"tenant_id": tenant_id, "uri": uri})).fetchone()
    return str(row["agent_id"]) if row else None


async def find_agent_of_card(conn: Connection, tenant_id: str, card: Card) -> str | None:
    """The id of the agent that a card which was found, rather than sent, belongs to."""
    given = {"tenant_id": tenant_id, "card_url": card.found_at, "uri": card.uri, "agent_id": card.agent_id}
    row = await (await conn.execute(sql.find_agent_of_card, given)).fetchone()
    return str(row["agent_id"]) if row else None


async def lock_agent(conn: Connection, key: AgentKey) -> Entry | None:
    row = await (await conn.execute(sql.lock_agent, asdict(key))).fetchone()
    return Entry(**row) if row else None


async def count_agents(conn: Connection, tenant_id: str) -> int:
    row = await (await conn.execute(sql.count_agents, {"tenant_id": tenant_id})).fetchone()
    assert row is not None
    return int(row["agents"])


async def has_agent(conn: Connection, key: AgentKey) -> bool:
    """Tell whether there is such an agent; there is none of an id that no agent can have, NULs included."""
    return is_id(key.agent_id) and await _is_found(conn, sql.has_agent, asdict(key))


async def put_agent(
    conn: Connection, key: AgentKey, card: Card, *, origin: Origin, has_instances: bool
) -> PutAgent:
    """Makes an entry, or brings the one that is there up to date."""
    given = {**asdict(key), **_parts_of(card), "origin": origin, "has_instances": has_instances}
    row = await (await conn.execute(sql.put_agent, given)).fetchone()
    assert row is not None
    return PutAgent(**row)


async def set_status(conn: Connection, key: AgentKey, status: Status, *, has_left: bool = False) -> None:
    """`has_left`: it is so because the last process has left."""
    await conn.execute(sql.set_status, {**asdict(key), "status": status, "has_left": has_left})
    await conn.execute(sql.forget_drained, asdict(key))


async def change_labels(conn: Connection, key: AgentKey, labels: Mapping[str, str | None]) -> Mapping[str, str]:
    """Change those that are named, and return all that the agent has then. Raises `NotFound`."""
    given = {**asdict(key), "labels": Jsonb(labels)}
    row = await (await conn.execute(sql.change_labels, given)).fetchone()
    if row is None:
        raise unknown(key.agent_id)
    changed: Mapping[str, str] = row["labels"]
    return changed


async def delete_agent(conn: Connection, key: AgentKey) -> None:
    """Removes the entry and its processes. Raises `NotFound`."""
    if (await conn.execute(sql.delete_agent, asdict(key))).rowcount == 0:
        raise unknown(key.agent_id)


async def list_agents(
    conn: Connection, tenant_id: str, selection: Selection, *, after: str, limit: int, most_bytes: int
) -> FoundAgents:
    """The next agents whose ids come after `after`: no more than `limit`, and after those whose cards exceed
    `most_bytes` none, but at least one."""
    given = {
        "tenant_id": tenant_id,
        "after": after,
        "limit": limit,
        "bytes": most_bytes,
        "status": selection.status,
        "skills": [skill.lower() for skill in selection.skills] if selection.skills is not None else None,
        "protocol": selection.protocol.lower() if selection.protocol is not None else None,
        "alive": selection.alive,
        "trust_domain": selection.trust_domain,
        "labels": Jsonb(selection.labels) if selection.labels else None,
    }
    # Planned for these filters each time: one plan for all of them would read every agent of the tenant.
    rows = await (await conn.execute(sql.list_agents, given, prepare=False)).fetchall()
    has_more = [row.pop("has_more") for row in rows]
    return FoundAgents([Agent(**row) for row in rows], bool(has_more) and has_more[-1])


async def get_agent(conn: Connection, key: AgentKey) -> Agent:
    """Raises `NotFound`."""
    row = await (await conn.execute(sql.find_agent, asdict(key))).fetchone()
    if row is None:
        raise unknown(key.agent_id)
    return Agent(**row)


async def list_instances(conn: Connection, key: AgentKey) -> list[Instance]:
    """The processes of the agent that were heard of last."""
    rows = await conn.execute(sql.list_instances, {**asdict(key), "limit": INSTANCES_SHOWN})
    return [Instance(**row) for row in await rows.fetchall()]


async def note_sign_of_life(
    conn: Connection,
    key: AgentKey,
    incarnation: str | None,
    heartbeat_seconds: float | None,
    admin_url: str | None = None,
) -> None:
    """A process is there, though it has sent no heartbeat. Without `heartbeat_seconds` it will be heard of as
    often as it has said before, or as is usual; without `admin_url` it is where it was."""
    given = {**_life_of(key, incarnation, heartbeat_seconds), "admin_url": admin_url}
    await conn.execute(sql.note_sign_of_life, given)


async def beat(conn: Connection, heartbeats: Sequence[tuple[AgentKey, Heartbeat]]) -> list[Heard | None]:
    """Notes the heartbeats of processes that live and say what they said before of their health, and returns what
    each is answered with. None: with that one it is not as simple, and nothing has changed."""
    tenant_ids, agent_ids, incarnations, seconds, healths, reasons, drained = zip(
        *(_columns_of(key, heartbeat) for key, heartbeat in heartbeats), strict=True
    )
    given = {
        "tenant_ids": list(tenant_ids),
        "agent_ids": list(agent_ids),
        "incarnations": list(incarnations),
        "heartbeat_seconds": list(seconds),
        "healths": list(healths),
        "reasons": list(reasons),
        "drained": list(drained),
    }
    rows = await (await conn.execute(sql.beat, given)).fetchall()
    heard: dict[tuple[str, ...], Heard] = {
        (row["tenant_id"], row["agent_id"], row["incarnation"], row["health"]): Heard(
            row["status"], row["generation"], row["erasures"]
        )
        for row in rows
    }
    return [heard.get(beat) for beat in zip(tenant_ids, agent_ids, incarnations, healths, strict=True)]


async def lock_instance(conn: Connection, key: AgentKey, incarnation: str | None) -> Instance | None:
    row = await (await conn.execute(sql.lock_instance, _process_of(key, incarnation))).fetchone()
    return Instance(**row) if row else None


async def put_heartbeat(conn: Connection, key: AgentKey, heartbeat: Heartbeat) -> None:
    await conn.execute(sql.put_heartbeat, _heartbeat_of(key, heartbeat))


async def remove_instance(conn: Connection, key: AgentKey, incarnation: str | None) -> None:
    await conn.execute(sql.remove_instance, _process_of(key, incarnation))


async def has_living_instance(conn: Connection, key: AgentKey) -> bool:
    return await _is_found(conn, sql.has_living_instance, asdict(key))


async def has_erasures(conn: Connection, key: AgentKey) -> bool:
    """Whether the agent is to erase something, and has not answered yet."""
    return await _is_found(conn, sql.has_erasures, asdict(key))


async def keep_pulse(conn: Connection, *, begins: bool) -> tuple[float, int]:
    """Notes that a registry works, or begins to. How many seconds none did, and how many processes of agents were
    given a whole period because that was too long."""
    row = await (await conn.execute(sql.keep_pulse, {"begins": begins})).fetchone()
    assert row is not None
    return row["gap_seconds"], row["spared"]


async def note_overdue(conn: Connection) -> list[NotedAgent]:
    rows = await conn.execute(sql.note_overdue)
    return [NotedAgent(**row) for row in await rows.fetchall()]


async def count_by_status(conn: Connection) -> dict[tuple[str, bool], int]:
    """How many agents there are, of all tenants, by status and by whether they are alive."""
    rows = await (await conn.execute(sql.count_by_status)).fetchall()
    return {(row["status"], row["alive"]): row["agents"] for row in rows}


async def purge_instances(conn: Connection, silent_seconds: float, limit: int) -> int:
    """Removes processes that have been overdue for so long, and returns how many."""
    return (await conn.execute(sql.purge_instances, {"silent_seconds": silent_seconds, "limit": limit})).rowcount


async def list_purgeable(
    conn: Connection, silent_seconds: float, limit: int, but: Collection[Any]
) -> list[AgentKey]:
    """Agents of whose processes none is left, without `but`."""
    given = {
        "silent_seconds": silent_seconds,
        "limit": limit,
        "but_tenants": [key.tenant_id for key in but],
        "but_agents": [key.agent_id for key in but],
    }
    rows = await conn.execute(sql.list_purgeable, given)
    return [AgentKey(**row) for row in await rows.fetchall()]


async def purge_agent(conn: Connection, key: AgentKey, silent_seconds: float) -> PurgedAgent | None:
    """Removes it; None when it is not to be removed any more."""
    given = {"tenant_id": key.tenant_id, "agent_id": key.agent_id, "silent_seconds": silent_seconds}
    row = await (await conn.execute(sql.purge_agent, given)).fetchone()
    return PurgedAgent(**row) if row else None


async def claim_probes(conn: Connection, *, seconds: float, limit: int) -> list[DueProbe]:
    """Agents whose cards the caller is to look for now, each in less than nine tenths of `seconds`."""
    given = {"seconds": seconds, "limit": limit}
    rows = await conn.execute(sql.claim_probes, given)
    return [DueProbe(**row) for row in await rows.fetchall()]


async def update_probed_card(conn: Connection, key: AgentKey, card: Card) -> bool:
    """Whether the card is another one than the agent had."""
    return (await conn.execute(sql.update_probed_card, {**asdict(key), **_parts_of(card)})).rowcount == 1


def unknown(agent_id: str) -> NotFound:
    return NotFound(f"agent {agent_id}")


async def _is_found(conn: Connection, statement: Any, given: dict[str, Any]) -> bool:
    row = await (await conn.execute(statement, given)).fetchone()
    assert row is not None
    return bool(row["found"])


def _parts_of(card: Card) -> dict[str, Any]:
    return {
        "uri": card.uri,
        "card": Jsonb(card.document),
        "card_url": card.found_at,
        "skills": [skill.lower() for skill in card.skills],
        "protocols": [protocol.lower() for protocol in card.protocols],
        "own_labels": Jsonb(card.labels),
    }


async def list_trace(conn: Connection, key: AgentKey, limit: int) -> list[Traced]:
    """What went on with the agent, the latest first."""
    rows = await (await conn.execute(sql.list_trace, {**asdict(key), "limit": limit})).fetchall()
    return [Traced(**row) for row in rows]


def _process_of(key: AgentKey, incarnation: str | None) -> dict[str, Any]:
    return {"tenant_id": key.tenant_id, "agent_id": key.agent_id, "incarnation": incarnation or UNNAMED}


def _life_of(key: AgentKey, incarnation: str | None, heartbeat_seconds: float | None) -> dict[str, Any]:
    return {
        **_process_of(key, incarnation),
        "heartbeat_seconds": heartbeat_seconds,
        "default_seconds": DEFAULT_HEARTBEAT_SECONDS,
    }


def _heartbeat_of(key: AgentKey, heartbeat: Heartbeat) -> dict[str, Any]:
    life = _life_of(key, heartbeat.incarnation, heartbeat.heartbeat_seconds)
    said = {"health": heartbeat.health, "reason": _reason_of(heartbeat), "drained": heartbeat.drained}
    return {**life, **said}


def _columns_of(key: AgentKey, heartbeat: Heartbeat) -> tuple[str, str, str, float | None, str, str, bool]:
    return (
        key.tenant_id,
        key.agent_id,
        heartbeat.incarnation or UNNAMED,
        heartbeat.heartbeat_seconds,
        heartbeat.health,
        _reason_of(heartbeat),
        heartbeat.drained,
    )


def _reason_of(heartbeat: Heartbeat) -> str:
    return (heartbeat.reason or "")[:_LONGEST_REASON] if heartbeat.health == "failing" else ""
