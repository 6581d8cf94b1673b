"""What the commands share: settings, the database, and how they end."""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import typer

from groundwork.command import CANNOT, complain
from groundwork.command import run as run_command
from registry.errors import NotFound, RegistryError

if TYPE_CHECKING:
    from groundwork.postgres.pool import Pool
    from registry.settings import RegistrySettings

Result = TypeVar("Result")

PROGRAM = "registry"


def run(work: Coroutine[Any, Any, Any], *, serves: bool = False) -> Any:
    """Runs a command; what the registry refuses is said in one line. Raises `typer.Exit`."""
    return run_command(PROGRAM, _saying_what_is_not_found(work), (RegistryError,), serves=serves)


def load() -> "RegistrySettings":
    """The settings. Raises `typer.Exit` for one that cannot be used, once that is said."""
    from groundwork.process.settings import BadSetting, load_settings
    from registry.settings import RegistrySettings

    try:
        return load_settings(RegistrySettings)
    except BadSetting as error:
        complain(PROGRAM, str(error))
        raise typer.Exit(CANNOT) from None


@asynccontextmanager
async def open_own_database() -> "AsyncIterator[Pool]":
    """The registry's database, for commands that work on it without a server, and leave its schema alone."""
    from registry.database import check_database_ready, open_registry_pool

    settings = load().model_copy(update={"postgres_pool_size": 2})
    async with open_registry_pool(settings, "registry-cli", makes_it=False) as pool:
        await check_database_ready(pool, settings)
        yield pool


async def _saying_what_is_not_found(work: Coroutine[Any, Any, Result]) -> Result:
    """Such an error names a thing, and what is the matter with it is told by whoever shows the error."""
    try:
        return await work
    except NotFound as error:
        raise RegistryError(f"not found: {error}") from None
