"""The agent's schema: our numbered migrations, and LangGraph's own tables."""

import logging
from collections.abc import Mapping
from typing import Any

from agent_runtime.data import REMEDY, describe_database
from agent_runtime.memory.graph_store import has_store_tables, prepare_store_tables
from agent_runtime.settings import AgentSettings
from groundwork.postgres.checkpoints import prepare_checkpoint_tables
from groundwork.postgres.migrations import SchemaNotReady, check_schema, migrate, schema_lock
from groundwork.postgres.pool import Pool

logger = logging.getLogger(__name__)

MIGRATIONS_TABLE = "agent_sidecar_migrations"


async def check_database_ready(pool: Pool, settings: AgentSettings) -> None:
    """Changes nothing. Raises `SchemaNotReady` and `SchemaTooNew` (see `groundwork.postgres.migrations`)."""
    place = describe_database(settings)
    await check_schema(pool, "agent_runtime.migrations", MIGRATIONS_TABLE, place, REMEDY)
    if not await has_store_tables(pool):
        raise SchemaNotReady(f"looked in {place}, whose schema lacks LangGraph's store: {REMEDY}")


async def prepare_database(pool: Pool, store_index: Mapping[str, Any] | None = None) -> None:
    """Brings the schema to this release. Safe to call from any number of processes at once, and again.

    `store_index` is what the project says of a semantic index of the store. Raises `SchemaLockTimeout` and
    `SchemaTooNew` (see `groundwork.postgres.migrations`), and `NoVectorIndex`.
    """
    async with schema_lock(pool):
        for name in await migrate(pool, "agent_runtime.migrations", MIGRATIONS_TABLE):
            logger.info("migration applied name=%s", name)
        await prepare_checkpoint_tables(pool)
        await prepare_store_tables(pool, store_index)
