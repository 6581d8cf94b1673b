"""What the commands share: settings, the database, and how they end."""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import typer

from groundwork.command import CANNOT, complain
from groundwork.command import run as run_command
from groundwork.settings import BadSetting, load_settings
from registry.errors import RegistryError

if TYPE_CHECKING:
    from groundwork.postgres import Pool
    from registry.settings import RegistrySettings

PROGRAM = "registry"


def run(work: Coroutine[Any, Any, Any]) -> Any:
    """Runs a command; what the registry refuses is said in one line. Raises `typer.Exit`."""
    return run_command(PROGRAM, work, (RegistryError,))


def load() -> "RegistrySettings":
    """The settings. Raises `typer.Exit` for one that cannot be used, once that is said."""
    from registry.settings import RegistrySettings

    try:
        return load_settings(RegistrySettings)
    except BadSetting as error:
        complain(PROGRAM, str(error))
        raise typer.Exit(CANNOT) from None


@asynccontextmanager
async def open_own_database() -> "AsyncIterator[Pool]":
    """The registry's database, brought to this release, for commands that work on it without a server."""
    from registry.database import prepare_database
    from registry.service import open_registry_pool

    async with open_registry_pool(load().model_copy(update={"postgres_pool_size": 2}), "registry-cli") as pool:
        await prepare_database(pool)
        yield pool
