"""The registry's pool, and how its schema comes about."""

import logging
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager

from groundwork.checkpoints import prepare_checkpoint_tables
from groundwork.migrations import migrate, schema_lock
from groundwork.postgres import Pool, open_pool
from registry.data import open_database
from registry.engine.jobs import prepare_queue
from registry.settings import RegistrySettings

logger = logging.getLogger(__name__)

MIGRATIONS_TABLE = "registry_migrations"


@asynccontextmanager
async def open_registry_pool(
    settings: RegistrySettings, name: str, database: Awaitable[str] | None = None
) -> AsyncIterator[Pool]:
    """A pool on the registry's database, which is started for it where it is embedded. `database` is the DSN of
    one that the caller has opened already, or is opening, and closes later."""
    async with AsyncExitStack() as stack:
        dsn = await (database or stack.enter_async_context(open_database(settings)))
        yield await stack.enter_async_context(
            open_pool(
                dsn,
                name=name,
                max_size=settings.postgres_pool_size,
                prepare_threshold=settings.prepare_threshold,
                beside=1,  # on which workers hear of new jobs
            )
        )


async def prepare_database(pool: Pool) -> None:
    """Brings the schema to this release. Safe to call from any number of processes at once, and again.

    Raises `SchemaLockTimeout` and `SchemaTooNew` (see `groundwork.migrations`).
    """
    async with schema_lock(pool):
        for name in await migrate(pool, "registry.migrations", MIGRATIONS_TABLE):
            logger.info("applied migration %s", name)
        await prepare_checkpoint_tables(pool)
        await prepare_queue(pool)
