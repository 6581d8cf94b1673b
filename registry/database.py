"""Where the registry keeps everything, and how its schema comes about."""

import logging
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path

from groundwork.checkpoints import prepare_checkpoint_tables
from groundwork.embedded import open_embedded, open_throwaway
from groundwork.migrations import migrate, schema_lock
from groundwork.postgres import Pool, describe, open_pool
from registry.engine.jobs import prepare_queue
from registry.settings import RegistrySettings

logger = logging.getLogger(__name__)

MIGRATIONS_TABLE = "registry_migrations"
EMBEDDED_DATA = Path(".jamjet/postgres")
IN_MEMORY = Path(":memory:")


def open_database(settings: RegistrySettings) -> AbstractAsyncContextManager[str]:
    """The DSN of the registry's database, for as long as the block runs; the embedded server lives with it."""
    if settings.postgres_dsn:
        return nullcontext(settings.postgres_dsn)
    if settings.database_path == IN_MEMORY:
        return open_throwaway()
    return open_embedded(_data_directory(settings))


@asynccontextmanager
async def open_registry_pool(settings: RegistrySettings, name: str) -> AsyncIterator[Pool]:
    """A pool on the registry's database, which is started for it where it is embedded."""
    async with (
        open_database(settings) as dsn,
        open_pool(
            dsn,
            name=name,
            max_size=settings.postgres_pool_size,
            prepare_threshold=settings.prepare_threshold,
            beside=1,  # on which workers hear of new jobs
        ) as pool,
    ):
        yield pool


def describe_database(settings: RegistrySettings) -> str:
    """Where the data is, in words."""
    if settings.postgres_dsn:
        return f"PostgreSQL at {describe(settings.postgres_dsn)}"
    if settings.database_path == IN_MEMORY:
        return "a temporary PostgreSQL, deleted at exit"
    asked = f", in place of {settings.database_path}" if settings.database_path else ""
    return f"embedded PostgreSQL in {_data_directory(settings)}{asked}"


async def prepare_database(pool: Pool) -> None:
    """Brings the schema to this release. Safe to call from any number of processes at once, and again.

    Raises `SchemaLockTimeout` and `SchemaTooNew` (see `groundwork.migrations`).
    """
    async with schema_lock(pool):
        for name in await migrate(pool, "registry.migrations", MIGRATIONS_TABLE):
            logger.info("applied migration %s", name)
        await prepare_checkpoint_tables(pool)
        await prepare_queue(pool)


def _data_directory(settings: RegistrySettings) -> Path:
    path = settings.database_path
    return path.with_name(f"{path.name}.postgres") if path else EMBEDDED_DATA
