"""What can be done with agents."""

import base64
import binascii
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager

import anyio

from groundwork.bounds import DISCOVERIES_AT_ONCE
from groundwork.http.labels import MOST_LABELS
from groundwork.postgres.pool import Connection, Pool, connection, run_repeatable, transaction
from registry.access import Principal
from registry.agents import entries, store
from registry.agents.cards import Card
from registry.agents.discovery import Discovery
from registry.agents.lifecycle import HELD, Status, check_change
from registry.agents.models import (
    Agent,
    AgentPage,
    Departure,
    Entry,
    Heard,
    Heartbeat,
    Instance,
    Origin,
    ProcessAddress,
    Registered,
    Selection,
    Traced,
)
from registry.agents.store import AgentKey
from registry.audit.store import append_entry
from registry.batches import Batches
from registry.checks import is_id
from registry.errors import Conflict, Gone, InvalidRequest, LimitReached, NotFound
from registry.generations.store import get_generation, note_agent_changed
from registry.metrics import RegistryMetrics
from registry.settings import RegistrySettings
from registry.usage.store import put_usage

PAUSE_SECONDS = 0.01
"""A hundred calls a second carry any number of heartbeats, each of which is a hundredth of a second late."""

_BATCH = 200
_BATCH_BYTES = 2 * 1024 * 1024

_EVENTS: dict[Status, str] = {
    "paused": "agent_paused",
    "draining": "agent_draining",
    "deactivated": "agent_deactivated",
}


class Agents:
    """The agents of all tenants; what a principal sees and changes are those of its tenant.

    Every method raises `DatabaseUnavailable` when the database cannot be used.
    """

    def __init__(
        self, pool: Pool, settings: RegistrySettings, discovery: Discovery, metrics: RegistryMetrics
    ) -> None:
        self._pool = pool
        self._settings = settings
        self._discovery = discovery
        self._discoveries: Counter[str] = Counter()
        self._metrics = metrics
        self._beats = Batches(self._beat, pause=PAUSE_SECONDS)

    async def register(self, principal: Principal, card: Card, process: ProcessAddress) -> Registered:
        """Makes an entry of the card, or brings the agent's entry up to date, which keeps its status. The process
        is alive from then on, as far as the agent is active; one that comes back after the last had left makes it
        active again.

        A card without an id is that of the agent with its URI; for a new one an id is made up, as
        `entries.make_id` tells. Raises `InvalidRequest`, `Conflict` and `LimitReached`.
        """
        tenant_id, announced = principal.tenant_id, process.incarnation is not None
        async with self._transaction() as conn:
            entry = await entries.lock_sent(conn, tenant_id, card)
            key = AgentKey(tenant_id, entry.agent_id if entry else await entries.make_id(conn, tenant_id, card))
            put = await store.put_agent(conn, key, card, origin="registered", has_instances=announced)
            status, changed = put.status, entry is None or put.component_version != entry.component_version
            if entry is not None and entry.origin == "discovered" and announced:
                # From here on the agent itself says that it lives.
                await store.remove_instance(conn, key, None)
            if entry is not None and entry.status == "deactivated" and entry.has_left and announced:
                status = "active"
                await store.set_status(conn, key, status)
            await store.note_sign_of_life(
                conn, key, process.incarnation, process.heartbeat_seconds, process.admin_url
            )
            generation = (
                await note_agent_changed(conn, key.tenant_id, key.agent_id) if changed else None
            ) or put.component_generation
            event_type = "agent_updated" if entry else "agent_registered"
            await append_entry(
                conn, principal, event_type, _subject(key), uri=card.uri, incarnation=process.incarnation
            )
        return Registered(key.agent_id, tenant_id, entry is None, status, generation)

    async def discover(self, principal: Principal, url: str) -> tuple[Agent, list[Instance]]:
        """Registers the agent whose card is found at `url`, or below it, or brings its entry up to date.

        Raises `InvalidRequest`, `AgentUnreachable`, `Conflict` and `LimitReached`.
        """
        async with self._discovering(principal.tenant_id):
            card = await self._discovery.find_card(url)
        return await self.register_discovered(principal, card, url)

    @asynccontextmanager
    async def _discovering(self, tenant_id: str) -> AsyncIterator[None]:
        """Raises `LimitReached` while the tenant looks for as many cards as it may: hosts take time to fail."""
        if self._discoveries[tenant_id] >= DISCOVERIES_AT_ONCE:
            raise LimitReached(f"{DISCOVERIES_AT_ONCE} agents are being discovered for the tenant; wait for one")
        self._discoveries[tenant_id] += 1
        try:
            yield
        finally:
            self._discoveries[tenant_id] -= 1
            self._discoveries += Counter()

    async def register_discovered(
        self, principal: Principal, card: Card, url: str
    ) -> tuple[Agent, list[Instance]]:
        """As `register`, for a card that was found when somebody asked for `url`. The registry goes on looking for
        it, while the agent is active, unless the agent's processes announce themselves."""
        tenant_id = principal.tenant_id
        async with self._transaction() as conn:
            entry = await entries.lock_found(conn, tenant_id, card)
            key = AgentKey(tenant_id, entry.agent_id if entry else await entries.make_id(conn, tenant_id, card))
            origin: Origin = "registered" if entry and entry.has_instances else "discovered"
            put = await store.put_agent(conn, key, card, origin=origin, has_instances=False)
            if origin == "discovered":
                await store.note_sign_of_life(conn, key, None, self._settings.jamjet_probe_seconds)
            found = await store.get_agent(conn, key), await store.list_instances(conn, key)
            if entry is None or put.component_version != entry.component_version:
                await note_agent_changed(conn, key.tenant_id, key.agent_id)
            await append_entry(
                conn, principal, "agent_discovered", _subject(key), uri=card.uri, url=url.partition("?")[0]
            )
        return found

    async def activate(self, principal: Principal, agent_id: str) -> Status:
        """Raises `NotFound`."""
        async with self._changing(principal, agent_id) as (conn, entry, key):
            await _change_status(conn, key, entry, "active")
            if entry.origin == "registered" and not entry.has_instances:
                # Where processes have names, or are looked for, it says nothing of any of them.
                await store.note_sign_of_life(conn, key, None, None)
            await append_entry(conn, principal, "agent_activated", _subject(key), previous_status=entry.status)
        return "active"

    async def pause(self, principal: Principal, agent_id: str) -> Status:
        """Raises `NotFound` and `Conflict`."""
        return await self._set_status(principal, agent_id, "paused")

    async def drain(self, principal: Principal, agent_id: str) -> Status:
        """As `pause`, to take the agent out of service: its processes tell when they have no turn in hand.
        Raises `NotFound` and `Conflict`."""
        return await self._set_status(principal, agent_id, "draining")

    async def resume(self, principal: Principal, agent_id: str) -> Status:
        """Undo a pause or a drain. Raises `NotFound`, and `Conflict` for an agent that has neither and is not
        active."""
        async with self._changing(principal, agent_id) as (conn, entry, key):
            if entry.status not in (*HELD, "active"):
                raise Conflict(f"agent {agent_id} is {entry.status}, and was not paused; activate it instead")
            await _change_status(conn, key, entry, "active")
            await append_entry(conn, principal, "agent_resumed", _subject(key), previous_status=entry.status)
        return "active"

    async def deactivate(self, principal: Principal, agent_id: str, process: Departure) -> Status:
        """Ends the agent, or with an incarnation that process of it: then the agent stays what it is as long as
        another one lives. Raises `NotFound`."""
        if process.incarnation is None:
            return await self._set_status(principal, agent_id, "deactivated")
        async with self._changing(principal, agent_id) as (conn, entry, key):
            await store.remove_instance(conn, key, process.incarnation)
            others_live = await store.has_living_instance(conn, key)
            # A pause is somebody's wish, and holds for the processes that come after this one.
            stays = others_live or entry.status in HELD
            status: Status = entry.status if stays else "deactivated"
            by_itself = not others_live and entry.status == "active"
            await _change_status(conn, key, entry, status, has_left=by_itself or entry.has_left)
            event_type = "agent_instance_left" if others_live else "agent_deactivated"
            await append_entry(
                conn,
                principal,
                event_type,
                _subject(key),
                previous_status=entry.status,
                incarnation=process.incarnation,
            )
        return status

    async def change_labels(
        self, principal: Principal, agent_id: str, labels: Mapping[str, str | None]
    ) -> tuple[Agent, list[Instance]]:
        """Change the labels that are named, null taking one away; they hold against those that the agent registers
        with. Raises `NotFound`, and `InvalidRequest` when it would have too many."""
        async with self._changing(principal, agent_id) as (conn, _, key):
            changed = await store.change_labels(conn, key, labels)
            if len(changed) > MOST_LABELS:
                raise InvalidRequest(f"labels: the agent would have {len(changed)}, and may have {MOST_LABELS}")
            await append_entry(conn, principal, "agent_labelled", _subject(key), labels=dict(changed))
            return await store.get_agent(conn, key), await store.list_instances(conn, key)

    async def heartbeat(self, principal: Principal, agent_id: str, heartbeat: Heartbeat) -> Heard:
        """A process shows that it lives, and says how it is.

        Raises `NotFound` for an agent that is not registered, and `Gone` for a process that has not registered or
        was silent for too long: it may have been replaced, so it has to register again.
        """
        key = _key(principal, agent_id)
        try:
            heard = await self._beats.ask((key, heartbeat))
            if heard is None:
                heard = await self._unusual_heartbeat(principal, key, heartbeat)
        except NotFound:
            self._metrics.heartbeat_received("unknown")
            raise
        except Gone:
            self._metrics.heartbeat_received("gone")
            raise
        self._metrics.heartbeat_received("ok")
        return heard

    async def delete(self, principal: Principal, agent_id: str) -> None:
        """Removes the agent; should it live, it will register again. Raises `NotFound`."""
        async with self._changing(principal, agent_id) as (conn, entry, key):
            await store.delete_agent(conn, key)
            await note_agent_changed(conn, key.tenant_id, key.agent_id)
            await append_entry(conn, principal, "agent_deleted", _subject(key), uri=entry.uri, status=entry.status)

    async def get_agent(self, principal: Principal, agent_id: str) -> tuple[Agent, list[Instance]]:
        """The agent, and the processes of it that were heard of last. Raises `NotFound`."""
        key = _key(principal, agent_id)
        async with connection(self._pool) as conn:
            return await store.get_agent(conn, key), await store.list_instances(conn, key)

    async def list_trace(self, principal: Principal, agent_id: str, limit: int) -> Sequence[Traced]:
        """What went on with the agent, the latest first. Raises `NotFound`."""
        key = _key(principal, agent_id)
        async with connection(self._pool) as conn:
            if not await store.has_agent(conn, key):
                raise store.unknown(agent_id)
            return await store.list_trace(conn, key, limit)

    async def list_agents(
        self, principal: Principal, selection: Selection, limit: int, cursor: str | None
    ) -> AgentPage:
        """The next page in the order of ids. It can be shorter than `limit`, where cards are large. Raises
        `InvalidRequest` for a cursor that no page gave out."""
        after = "" if cursor is None else _decode_cursor(cursor)
        found = await self._batch(principal, selection, after, limit)
        return AgentPage(found.agents, _encode_cursor(found.agents[-1].agent_id) if found.has_more else None)

    async def stream_agents(self, principal: Principal, selection: Selection) -> AsyncIterator[list[Agent]]:
        """All agents in the order of their ids, some at a time; no connection is held in between."""
        after, has_more = "", True
        while has_more:
            # A reader that leaves in the middle would cost the connection, and a batch takes milliseconds.
            with anyio.CancelScope(shield=True):
                found = await self._batch(principal, selection, after, _BATCH)
            if found.agents:
                yield found.agents
                after = found.agents[-1].agent_id
            has_more = found.has_more

    async def _batch(
        self, principal: Principal, selection: Selection, after: str, limit: int
    ) -> store.FoundAgents:
        async with connection(self._pool) as conn:
            return await store.list_agents(
                conn, principal.tenant_id, selection, after=after, limit=limit, most_bytes=_BATCH_BYTES
            )

    async def _set_status(self, principal: Principal, agent_id: str, status: Status) -> Status:
        async with self._changing(principal, agent_id) as (conn, entry, key):
            await _change_status(conn, key, entry, status)
            await append_entry(conn, principal, _EVENTS[status], _subject(key), previous_status=entry.status)
        return status

    async def _beat(self, heartbeats: Sequence[tuple[AgentKey, Heartbeat]]) -> Sequence[Heard | None]:
        async def note(conn: Connection) -> Sequence[Heard | None]:
            heard = await store.beat(conn, heartbeats)
            known = zip(heartbeats, heard, strict=True)
            told = [(key.tenant_id, key.agent_id, beat.usage) for (key, beat), one in known if one is not None]
            await put_usage(conn, told)
            return heard

        return await run_repeatable(self._pool, note)

    async def _unusual_heartbeat(self, principal: Principal, key: AgentKey, heartbeat: Heartbeat) -> Heard:
        """A heartbeat that is refused, or changes the health of a process, or is the first one without a name."""
        async with self._transaction() as conn:
            entry = await store.lock_agent(conn, key)
            if entry is None:
                raise NotFound(f"agent {key.agent_id} is not registered; register it with POST /agents")
            instance = await store.lock_instance(conn, key, heartbeat.incarnation)
            if heartbeat.incarnation is not None and (instance is None or not instance.living):
                raise Gone(
                    f"this process of agent {key.agent_id} has not registered, or was not heard of in time;"
                    " register it again with POST /agents"
                )
            await store.put_heartbeat(conn, key, heartbeat)
            await put_usage(conn, [(key.tenant_id, key.agent_id, heartbeat.usage)])
            generation = await get_generation(conn, key.tenant_id)
            erasures = await store.has_erasures(conn, key)
            previous = instance.health if instance else "ok"
            if heartbeat.health != previous:
                await append_entry(
                    conn,
                    principal,
                    "agent_health_changed",
                    _subject(key),
                    incarnation=heartbeat.incarnation,
                    health=heartbeat.health,
                    previous_health=previous,
                    reason=heartbeat.reason,
                )
        return Heard(entry.status, generation, erasures)

    @asynccontextmanager
    async def _changing(
        self, principal: Principal, agent_id: str
    ) -> AsyncIterator[tuple[Connection, Entry, AgentKey]]:
        """A transaction that holds the agent. Raises `NotFound`."""
        key = _key(principal, agent_id)
        async with self._transaction() as conn:
            entry = await store.lock_agent(conn, key)
            if entry is None:
                raise store.unknown(agent_id)
            yield conn, entry, key

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[Connection]:
        async with transaction(self._pool) as conn:
            yield conn


async def _change_status(
    conn: Connection, key: AgentKey, entry: Entry, status: Status, *, has_left: bool = False
) -> None:
    check_change(key.agent_id, entry.status, status)
    await store.set_status(conn, key, status, has_left=has_left)
    if _is_in_service(status, has_left) != _is_in_service(entry.status, entry.has_left):
        await note_agent_changed(conn, key.tenant_id, key.agent_id)


def _is_in_service(status: Status, has_left: bool) -> bool:
    """Whether the agent is there for those who use it as a component, alive or not."""
    return status != "deactivated" or has_left


def _key(principal: Principal, agent_id: str) -> AgentKey:
    """Raises `NotFound` for what no agent can be called."""
    if not is_id(agent_id):
        raise NotFound("there is no such agent: an id is 1 to 255 printable characters without blanks and slashes")
    return AgentKey(principal.tenant_id, agent_id)


def _subject(key: AgentKey) -> str:
    return f"agent:{key.agent_id}"


def _encode_cursor(agent_id: str) -> str:
    return base64.urlsafe_b64encode(agent_id.encode()).decode().rstrip("=")


def _decode_cursor(cursor: str) -> str:
    try:
        agent_id = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        agent_id = ""
    if not is_id(agent_id):
        raise InvalidRequest("cursor should be the next_cursor of the page before")
    return agent_id
