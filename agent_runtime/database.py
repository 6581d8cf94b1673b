"""The agent's schema: our numbered migrations, and LangGraph's own tables set up by LangGraph's own code."""

import logging

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from groundwork.migrations import migrate, schema_lock
from groundwork.postgres import Pool

logger = logging.getLogger(__name__)

MIGRATIONS_TABLE = "agent_sidecar_migrations"

# Left behind when a process dies while the checkpointer's set-up builds an index concurrently; the set-up
# would take the name for the thing and never build it again.
_INVALID_INDEXES = """
SELECT i.indexrelid::regclass::text AS name
  FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
 WHERE NOT i.indisvalid AND t.relname IN ('checkpoints', 'checkpoint_blobs', 'checkpoint_writes')
   AND pg_table_is_visible(t.oid)
"""


async def prepare_database(pool: Pool) -> None:
    """Brings the schema to this release. Safe to call from any number of processes at once, and again.

    Raises `SchemaLockTimeout` and `SchemaTooNew` (see `groundwork.migrations`).
    """
    async with schema_lock(pool):
        for name in await migrate(pool, "agent_runtime.migrations", MIGRATIONS_TABLE):
            logger.info("applied migration %s", name)
        async with pool.connection() as conn:
            for row in await (await conn.execute(_INVALID_INDEXES)).fetchall():
                logger.warning("dropping the unfinished index %s", row["name"])
                await conn.execute(f"DROP INDEX CONCURRENTLY {row['name']}")
        await AsyncPostgresSaver(pool).setup()
