"""LangGraph's own tables, set up by LangGraph's own code."""

import logging

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver

from groundwork.postgres.migrations import unhurried
from groundwork.postgres.pool import Pool

logger = logging.getLogger(__name__)

# Left behind when a process dies while the checkpointer's set-up builds an index concurrently; the set-up
# would take the name for the thing and never build it again.
_INVALID_INDEXES = """
SELECT i.indexrelid::regclass::text AS name
  FROM pg_index i JOIN pg_class t ON t.oid = i.indrelid
 WHERE NOT i.indisvalid AND t.relname IN ('checkpoints', 'checkpoint_blobs', 'checkpoint_writes')
   AND pg_table_is_visible(t.oid)
"""


async def prepare_checkpoint_tables(pool: Pool) -> None:
    """Bring the tables to the library's release; the caller holds `groundwork.postgres.migrations.schema_lock`."""
    async with unhurried(pool) as conn:
        for row in await (await conn.execute(_INVALID_INDEXES)).fetchall():
            logger.warning("unfinished index dropped name=%s", row["name"])
            await conn.execute(f"DROP INDEX CONCURRENTLY {row['name']}")
        await AsyncPostgresSaver(conn).setup()
