"""The registry's pool, and how its schema comes about."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager

from groundwork.postgres.checkpoints import prepare_checkpoint_tables
from groundwork.postgres.migrations import SchemaNotReady, check_schema, migrate, schema_lock
from groundwork.postgres.pool import Pool, open_pool
from registry.data import REMEDY, describe_database, open_database
from registry.queue.jobs import prepare_queue
from registry.settings import RegistrySettings

logger = logging.getLogger(__name__)

MIGRATIONS_TABLE = "registry_migrations"

_LOOK_SECONDS = 0.5


@asynccontextmanager
async def open_registry_pool(
    settings: RegistrySettings, name: str, database: Awaitable[str] | None = None, *, makes_it: bool = True
) -> AsyncIterator[Pool]:
    """A pool on the registry's database, which is started for it where it is embedded. `database` is the DSN of
    one that the caller has opened already, or is opening, and closes later; for `makes_it` see `open_database`."""
    async with AsyncExitStack() as stack:
        dsn = await (database or stack.enter_async_context(open_database(settings, makes_it=makes_it)))
        yield await stack.enter_async_context(
            open_pool(
                dsn,
                name=name,
                max_size=settings.postgres_pool_size,
                prepare_threshold=settings.prepare_threshold,
                beside=2,  # on which workers hear of new jobs, and renew their lease
            )
        )


async def check_database_ready(pool: Pool, settings: RegistrySettings, patience: float = 0.0) -> None:
    """Changes nothing. Waits for so many seconds for somebody who makes the database ready.

    Raises `SchemaNotReady` and `SchemaTooNew` (see `groundwork.postgres.migrations`).
    """
    place, deadline = describe_database(settings), asyncio.get_running_loop().time() + patience
    waits = False
    while True:
        try:
            await check_schema(pool, "registry.migrations", MIGRATIONS_TABLE, place, REMEDY)
        except SchemaNotReady as error:
            if asyncio.get_running_loop().time() >= deadline:
                raise
            if not waits:
                logger.warning("waiting for the database seconds=%g: %s", patience, error)
            waits = True
        else:
            return
        await asyncio.sleep(_LOOK_SECONDS)


async def prepare_database(pool: Pool) -> None:
    """Brings the schema to this release. Safe to call from any number of processes at once, and again.

    Raises `SchemaLockTimeout` and `SchemaTooNew` (see `groundwork.postgres.migrations`).
    """
    async with schema_lock(pool):
        for name in await migrate(pool, "registry.migrations", MIGRATIONS_TABLE):
            logger.info("migration applied name=%s", name)
        await prepare_checkpoint_tables(pool)
        await prepare_queue(pool)
