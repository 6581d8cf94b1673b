"""LangGraph's store (`runtime.store`, `InjectedStore`) on the agent's database, of which each agent has a part."""

import hashlib
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any

import psycopg
from langgraph.store.base import (
    BaseStore,
    GetOp,
    Item,
    ListNamespacesOp,
    MatchCondition,
    Op,
    PutOp,
    Result,
    SearchOp,
)
from langgraph.store.postgres.aio import AsyncPostgresStore
from langgraph.store.postgres.base import PostgresIndexConfig

from agent_runtime.errors import AgentError
from groundwork.postgres.migrations import unhurried
from groundwork.postgres.pool import Connection, Pool, connection, database_errors
from groundwork.postgres.sql import Queries

sql = Queries("agent_runtime.memory")


class NoVectorIndex(AgentError):
    """The database cannot make the index that the project asks for; the message says what is missing."""


def part_of(agent_id: str) -> str:
    """Return the first label of the namespaces of an agent.

    A digest, because the library finds what begins with a namespace by `LIKE`: of two agents, `a` and `ab`, the
    first would find what the second has put; and a period in an id would be taken for two labels.
    """
    return hashlib.sha256(agent_id.encode()).hexdigest()[:32]


class AgentStore(BaseStore):
    """The part of a store that is one agent's. Namespaces are as the graph says them; none leads outside.

    Operations raise `DatabaseUnavailable` when the database cannot be used.
    """

    supports_ttl = True

    def __init__(self, store: AsyncPostgresStore, agent_id: str) -> None:
        self._store = store
        self._part = part_of(agent_id)

    async def abatch(self, ops: Iterable[Op]) -> list[Result]:
        with database_errors():
            return [self._outward(result) for result in await self._store.abatch(list(map(self._inward, ops)))]

    def batch(self, ops: Iterable[Op]) -> list[Result]:
        """As `abatch`, for nodes that are ordinary functions, which run in a thread."""
        with database_errors():
            return [self._outward(result) for result in self._store.batch(list(map(self._inward, ops)))]

    def _inward(self, op: Op) -> Op:
        match op:
            case GetOp() | PutOp():
                return op._replace(namespace=(self._part, *op.namespace))
            case SearchOp():
                return op._replace(namespace_prefix=(self._part, *op.namespace_prefix))
            case ListNamespacesOp():
                return self._listing(op)
        raise TypeError(f"a store knows no {type(op).__name__}")

    def _listing(self, op: ListNamespacesOp) -> ListNamespacesOp:
        conditions = list(op.match_conditions or ())
        begins = [one for one in conditions if one.match_type == "prefix"] or [MatchCondition("prefix", ())]
        others = [one for one in conditions if one.match_type != "prefix"]
        ours = [MatchCondition("prefix", (self._part, *one.path)) for one in begins]
        depth = None if op.max_depth is None else op.max_depth + 1
        return op._replace(match_conditions=(*ours, *others), max_depth=depth)

    def _outward(self, result: Result) -> Result:
        match result:
            case Item():
                return _without_part(result)
            case list():
                # Items of a search, or namespaces; a list has one kind of them.
                shown: list[Any] = [_without_part(one) if isinstance(one, Item) else one[1:] for one in result]
                return shown
        return result


def _without_part(item: Item) -> Item:
    item.namespace = item.namespace[1:]
    return item


@asynccontextmanager
async def open_store(
    pool: Pool, agent_id: str | None, index: Mapping[str, Any] | None = None
) -> AsyncIterator[AgentStore | None]:
    """Open the agent's store for as long as the block runs; an agent without an id has none.

    `index` is LangGraph's configuration of a semantic index: `dims`, `embed`, `fields`.
    """
    if agent_id is None:
        yield None
        return
    async with AsyncPostgresStore(pool, index=_index_config(index)) as store:
        yield AgentStore(store, agent_id)


async def prepare_store_tables(pool: Pool, index: Mapping[str, Any] | None = None) -> None:
    """Bring LangGraph's tables of the store to the library's release; the caller holds the lock on the schema.

    Raises `NoVectorIndex` where `index` asks for what the database or the environment does not have.
    """
    async with unhurried(pool) as conn:
        try:
            await AsyncPostgresStore(conn, index=_index_config(index)).setup()
        except (ImportError, ValueError) as error:
            raise NoVectorIndex(f"the semantic index of the store cannot be used: {error}") from error
        except (psycopg.errors.FeatureNotSupported, psycopg.errors.UndefinedFile) as error:
            if index is None:
                raise
            raise NoVectorIndex(
                "the semantic index of the store needs pgvector, which this PostgreSQL does not have; install it"
                " there (the embedded server has none: set POSTGRES_DSN), or leave store.index out"
            ) from error


async def rename_part(conn: Connection, old_id: str, new_id: str) -> None:
    """Give what an agent has stored to another id. What both have under one key stays the new one's."""
    given = {"old": part_of(old_id), "new": part_of(new_id)}
    await conn.execute(sql.copy_stored_items, given)
    if await _has_table(conn, "store_vectors"):
        await conn.execute(sql.copy_stored_vectors, given)
    await conn.execute(sql.erase_stored_items, {"part": given["old"]})


async def count_part(conn: Connection, agent_id: str) -> int:
    """Return how many items the agent has stored."""
    row = await (await conn.execute(sql.count_stored_items, {"part": part_of(agent_id)})).fetchone()
    assert row is not None
    count: int = row["count"]
    return count


async def erase_part(conn: Connection, agent_id: str) -> int:
    """Delete all that the agent has stored, and return how many items that were."""
    deleted = await conn.execute(sql.erase_stored_items, {"part": part_of(agent_id)})
    return deleted.rowcount


async def count_of_caller(conn: Connection, agent_id: str, caller: str) -> int:
    """Return how many items the agent has stored in namespaces that have the caller's name as a label."""
    given = {"part": part_of(agent_id), "caller": caller}
    row = await (await conn.execute(sql.count_callers_items, given)).fetchone()
    assert row is not None
    count: int = row["count"]
    return count


async def erase_of_caller(conn: Connection, agent_id: str, caller: str) -> int:
    """Delete what `count_of_caller` counts, and return how many items that were."""
    given = {"part": part_of(agent_id), "caller": caller}
    return (await conn.execute(sql.erase_callers_items, given)).rowcount


async def has_store_tables(pool: Pool) -> bool:
    """Tell whether the tables of the store have been made."""
    async with connection(pool) as conn:
        return await _has_table(conn, "store")


async def _has_table(conn: Connection, name: str) -> bool:
    row = await (await conn.execute(sql.find_store_table, {"name": name})).fetchone()
    return row is not None


def _index_config(index: Mapping[str, Any] | None) -> PostgresIndexConfig | None:
    if index is None:
        return None
    config: PostgresIndexConfig = {**index}  # type: ignore[typeddict-item]  # the library checks what it is given
    return config
