"""Where the registry's data is. Quick to import: the server from the wheel starts while the rest is loaded."""

from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path

from groundwork.postgres.dsn import describe
from groundwork.postgres.embedded import EmbeddedPostgresFailed, open_embedded, open_throwaway
from registry.settings import RegistrySettings

EMBEDDED_DATA = Path(".jamjet/postgres")
IN_MEMORY = Path(":memory:")


REMEDY = "`registry serve` and `registry migrate` make a registry's database ready, and nothing else does"


def open_database(settings: RegistrySettings, *, makes_it: bool = True) -> AbstractAsyncContextManager[str]:
    """The DSN of the registry's database, for as long as the block runs; the embedded server lives with it.

    One that is not there is made, or else refused with `EmbeddedPostgresFailed`.
    """
    if settings.postgres_dsn:
        return nullcontext(settings.postgres_dsn)
    if settings.database_path == IN_MEMORY:
        if not makes_it:
            raise EmbeddedPostgresFailed("DATABASE_URL names a temporary database, which only its own server sees")
        return open_throwaway()
    return open_embedded(_data_directory(settings), remedy=None if makes_it else REMEDY)


def open_embedded_database(
    settings: RegistrySettings, *, makes_it: bool = True
) -> AbstractAsyncContextManager[str]:
    """Return the embedded server alone, for commands that need its address. Raises `EmbeddedPostgresFailed`."""
    if settings.postgres_dsn or settings.database_path == IN_MEMORY:
        raise EmbeddedPostgresFailed("there is no embedded PostgreSQL here: DATABASE_URL names another database")
    return open_database(settings, makes_it=makes_it)


def describe_database(settings: RegistrySettings) -> str:
    """Where the data is, in words."""
    if settings.postgres_dsn:
        return f"PostgreSQL at {describe(settings.postgres_dsn)}"
    if settings.database_path == IN_MEMORY:
        return "a temporary PostgreSQL, deleted at exit"
    asked = f", in place of {settings.database_path}" if settings.database_path else ""
    return f"embedded PostgreSQL in {_data_directory(settings)}{asked}"


def _data_directory(settings: RegistrySettings) -> Path:
    path = settings.database_path
    return path.with_name(f"{path.name}.postgres") if path else EMBEDDED_DATA
