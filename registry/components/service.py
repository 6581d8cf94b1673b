"""What can be done with components."""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from groundwork.http.labels import read_label_filter
from groundwork.postgres.pool import Connection, Pool, connection
from registry.access import Principal
from registry.agents import store as agents
from registry.agents.models import UNNAMED
from registry.agents.store import AgentKey, has_agent, unknown
from registry.audit.store import append_entry
from registry.checks import is_id
from registry.components import store
from registry.components.contents import Content, build_content, read_content
from registry.components.models import (
    KINDS,
    STORED_KINDS,
    AgentUse,
    Component,
    ComponentKey,
    ComponentPage,
    ComponentReference,
    ComponentsQuery,
    ComponentUse,
    ComponentUsesBody,
    Kind,
    PastVersion,
    Resolved,
    Rollout,
    StoredKind,
    UsesQuery,
    VersionPage,
    VersionsQuery,
    Written,
)
from registry.components.preconditions import Precondition
from registry.errors import Gone, InvalidRequest, NotFound
from registry.generations import store as generations_store
from registry.tenants.store import lock_limits

_USES_OF_AN_AGENT = 1000


class Components:
    """The components of all tenants; what a principal sees and changes are those of its tenant.

    Every method raises `DatabaseUnavailable` when the database cannot be used, and `NotFound` for a kind that does
    not exist.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def put(
        self,
        principal: Principal,
        kind: str,
        component_id: str,
        document: Mapping[str, Any],
        precondition: Precondition,
    ) -> Written:
        """Makes the document the component's next version, unless it says what it says already. Raises
        `InvalidRequest`, `PayloadTooLarge` and `Conflict`."""
        stored_kind = _stored_kind(kind)
        key = _new_key(principal, stored_kind, component_id)
        # A large template takes a while, in which others are not to wait.
        content = await asyncio.to_thread(read_content, stored_kind, document)
        async with self._changing(principal, key, precondition) as (conn, place):
            return await _write(conn, principal, key, place, content)

    async def roll_back(
        self, principal: Principal, kind: str, component_id: str, version: int, precondition: Precondition
    ) -> Written:
        """Makes a new version that says what an earlier one said, also of a component that was deleted. Raises
        `NotFound` and `Conflict`."""
        key = _key(principal, _stored_kind(kind), component_id)
        async with self._changing(principal, key, precondition) as (conn, place):
            earlier = await store.find_version(conn, key, version)
            if earlier is None:
                raise NotFound(f"{key} version {version}")
            content = build_content(earlier.content)
            return await _write(conn, principal, key, place, content, rolled_back_to=version)

    async def delete(self, principal: Principal, kind: str, component_id: str, precondition: Precondition) -> int:
        """The version that it had. Raises `NotFound` and `Conflict`."""
        key = _key(principal, _stored_kind(kind), component_id)
        async with self._changing(principal, key, precondition) as (conn, place):
            deleted = await _get(conn, key) if place.present else None
            if deleted is None:
                raise NotFound(str(key))
            await store.delete_component(conn, key, place.version)
            await generations_store.advance_generation(conn, key.tenant_id)
            await append_entry(
                conn,
                principal,
                "component_deleted",
                _subject(key),
                version=place.version,
                digest=deleted.digest,
            )
        return place.version

    async def get_component(
        self, principal: Principal, kind: str, component_id: str, version: int | None = None
    ) -> Component:
        """Its latest version; or another one, which is there also when the component was deleted. Raises
        `NotFound`."""
        key = _key(principal, _kind(kind), component_id)
        async with self._connection() as conn:
            return await _get(conn, key, version)

    async def list_components(self, principal: Principal, query: ComponentsQuery) -> ComponentPage:
        """The next page in the order of kinds and ids. Raises `InvalidRequest` for a cursor of no page."""
        after = _decode_cursor(query.cursor)
        async with self._connection() as conn:
            generation = await generations_store.get_generation(conn, principal.tenant_id)
            found = await store.list_components(conn, principal.tenant_id, query.kind, after, query.limit + 1)
        page, more = found[: query.limit], len(found) > query.limit
        cursor = _encode_cursor(page[-1].kind, page[-1].component_id) if more else None
        return ComponentPage(page, generation, cursor)

    async def list_versions(
        self, principal: Principal, kind: str, component_id: str, query: VersionsQuery
    ) -> VersionPage:
        """The versions that there were, the newest first. Raises `NotFound`."""
        key = _key(principal, _kind(kind), component_id)
        async with self._connection() as conn:
            if key.kind == "agent":
                return VersionPage([_only_version(await _get(conn, key))], None)
            found = await store.list_versions(conn, key, query.cursor, query.limit + 1)
        if not found and query.cursor is None:
            raise NotFound(str(key))
        page, more = found[: query.limit], len(found) > query.limit
        return VersionPage(page, str(page[-1].version) if more else None)

    async def resolve(
        self, principal: Principal, references: Sequence[ComponentReference]
    ) -> tuple[int, list[Resolved | None]]:
        """What there is of each, and the generation of that or one before: whoever sees a later one asks again."""
        async with self._connection() as conn:
            generation = await generations_store.get_generation(conn, principal.tenant_id)
            return generation, await store.resolve(conn, principal.tenant_id, references)

    async def note_uses(self, principal: Principal, agent_id: str, body: ComponentUsesBody) -> None:
        """Replaces what a process of the agent is said to run. Raises `InvalidRequest`; and as a heartbeat does
        `NotFound` for an agent that is not registered, and `Gone` for a process that has to register again."""
        if not is_id(agent_id):
            raise NotFound(f"agent {agent_id}")
        agent, uses = AgentKey(principal.tenant_id, agent_id), _without_repetition(body.refs)
        async with self._connection() as conn, conn.transaction():
            used = {use.id for use in uses if use.kind == "agent"}
            # Locked before the process is, as everywhere, and so that none of them changes unseen: whoever changes
            # one looks for its users after that.
            if agent_id not in await store.lock_agents(conn, agent.tenant_id, {agent_id, *used}):
                raise NotFound(f"agent {agent_id} is not registered; register it with POST /agents")
            await _check_process(conn, agent, body.incarnation)
            unnoticed = used - await store.list_used_agents(conn, agent.tenant_id, used) if used else set()
            await store.replace_uses(conn, agent, body.incarnation or UNNAMED, uses)
            if await _are_outdated(conn, agent.tenant_id, [use for use in uses if use.id in unnoticed]):
                await generations_store.advance_generation(conn, agent.tenant_id)

    async def get_rollout(self, principal: Principal, kind: str, component_id: str, query: UsesQuery) -> Rollout:
        """Who runs which version of the component, also of one that is not there. Raises `NotFound` when nobody
        has ever heard of it."""
        key, after = _key(principal, _kind(kind), component_id), _decode_cursor(query.cursor)
        labels = None if query.label is None else read_label_filter(query.label)
        async with self._connection() as conn:
            current = await store.find_component(conn, key)
            digest = current.digest if current else None
            counts = await store.count_uses(conn, key, digest, labels)
            found = await store.list_uses(conn, key, digest, after, query.limit + 1, labels)
            if current is None and not found and not await _was_there(conn, key):
                raise NotFound(str(key))
        page, more = found[: query.limit], len(found) > query.limit
        cursor = _encode_cursor(page[-1].agent_id, page[-1].incarnation) if more else None
        return Rollout(current.version if current else None, digest, counts, page, cursor)

    async def list_uses_of_agent(self, principal: Principal, agent_id: str) -> Sequence[AgentUse]:
        """What the agent's processes that live run. Raises `NotFound`."""
        agent = AgentKey(principal.tenant_id, agent_id)
        async with self._connection() as conn:
            if not await has_agent(conn, agent):
                raise unknown(agent_id)
            return await store.list_uses_of_agent(conn, agent, _USES_OF_AN_AGENT)

    @asynccontextmanager
    async def _changing(
        self, principal: Principal, key: ComponentKey, precondition: Precondition
    ) -> AsyncIterator[tuple[Connection, store.Place]]:
        """A transaction that holds the component. Raises `Conflict`."""
        async with self._connection() as conn, conn.transaction():
            await lock_limits(conn, principal.tenant_id)
            place = await store.lock_component(conn, key)
            precondition.check(key, place.current)
            yield conn, place

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        async with connection(self._pool) as conn:
            yield conn


async def _write(
    conn: Connection,
    principal: Principal,
    key: ComponentKey,
    place: store.Place,
    content: Content,
    rolled_back_to: int | None = None,
) -> Written:
    current = await _get(conn, key) if place.present else None
    changed = current is None or current.digest != content.digest
    if changed:
        version = place.version + 1
        await store.add_version(conn, key, version, content, principal.actor_id, rolled_back_to)
        await generations_store.advance_generation(conn, key.tenant_id)
    written = Written(await _get(conn, key), created=current is None, changed=changed)
    event_type = "component_put" if rolled_back_to is None else "component_rolled_back"
    detail: dict[str, Any] = {} if rolled_back_to is None else {"rolled_back_to": rolled_back_to}
    await append_entry(
        conn,
        principal,
        event_type,
        _subject(key),
        version=written.component.version,
        digest=content.digest,
        changed=changed,
        **detail,
    )
    return written


async def _get(conn: Connection, key: ComponentKey, version: int | None = None) -> Component:
    if version is not None:
        found, name = await store.find_version(conn, key, version), f"{key} version {version}"
    else:
        found, name = await store.find_component(conn, key), str(key)
    if found is None:
        raise NotFound(name)
    return found


async def _was_there(conn: Connection, key: ComponentKey) -> bool:
    return bool(await store.list_versions(conn, key, None, 1))


async def _check_process(conn: Connection, agent: AgentKey, incarnation: str | None) -> None:
    instance = await agents.lock_instance(conn, agent, incarnation)
    if instance is None or (incarnation is not None and not instance.living):
        raise Gone(
            f"this process of agent {agent.agent_id} has not registered, or was not heard of in time;"
            " register it again with POST /agents"
        )


async def _are_outdated(conn: Connection, tenant_id: str, uses: Sequence[ComponentUse]) -> bool:
    """Whether one of these agents is another one than the process has taken it for: it may have changed when
    nobody was known to use it, and so nobody was told."""
    if not uses:
        return False
    now = await store.resolve(conn, tenant_id, [ComponentReference(kind=use.kind, id=use.id) for use in uses])
    return any(found.digest != use.digest for use, found in zip(uses, now, strict=True) if found)


def _without_repetition(uses: Sequence[ComponentUse]) -> Sequence[ComponentUse]:
    """Raises `InvalidRequest`."""
    if len({(use.kind, use.id) for use in uses}) < len(uses):
        raise InvalidRequest("refs names a component more than once")
    return uses


def _only_version(agent: Component) -> PastVersion:
    """Cards of the past are not kept."""
    return PastVersion(agent.version, agent.digest, None, agent.created_at, None, deleted=False)


def _kind(kind: str) -> Kind:
    for known in KINDS:
        if kind == known:
            return known
    raise NotFound(f"there is no such kind of component; there are {', '.join(KINDS)}")


def _stored_kind(kind: str) -> StoredKind:
    for stored in STORED_KINDS:
        if kind == stored:
            return stored
    _kind(kind)
    raise InvalidRequest("components of kind agent are the registered agents; register one with POST /agents")


def _key(principal: Principal, kind: Kind, component_id: str) -> ComponentKey:
    """Raises `NotFound` for what no component can be called."""
    if not is_id(component_id):
        raise NotFound(
            "there is no such component: an id is 1 to 255 printable characters without blanks and slashes"
        )
    return ComponentKey(principal.tenant_id, kind, component_id)


def _new_key(principal: Principal, kind: Kind, component_id: str) -> ComponentKey:
    """Raises `InvalidRequest`."""
    if not is_id(component_id):
        raise InvalidRequest("id: accepted are 1 to 255 printable characters without blanks and slashes")
    return ComponentKey(principal.tenant_id, kind, component_id)


def _subject(key: ComponentKey) -> str:
    return f"component:{key.kind}/{key.component_id}"


def _encode_cursor(first: str, second: str) -> str:
    return base64.urlsafe_b64encode(f"{first}/{second}".encode()).decode().rstrip("=")


def _decode_cursor(cursor: str | None) -> tuple[str, str]:
    """What comes before the page. Raises `InvalidRequest`."""
    if cursor is None:
        return "", ""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    first, slash, second = text.partition("/")
    if not slash or "\x00" in text:
        raise InvalidRequest("cursor should be the next_cursor of the page before")
    return first, second
