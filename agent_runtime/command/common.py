"""What the commands of `agent-runtime` have in common: the directory's settings and database, and how they end."""

from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from agent_runtime.errors import AgentError
from groundwork import command
from groundwork.command import CANNOT

if TYPE_CHECKING:
    from agent_runtime.settings import AgentSettings
    from agent_runtime.threads.service import Threads
    from agent_runtime.turn_records.service import TurnRecords

PROGRAM = "agent-runtime"


def run_command(work: Coroutine[Any, Any, Any], *, serves: bool = False) -> Any:
    """Run a command to its end. Raises `typer.Exit`."""
    return command.run(PROGRAM, work, (AgentError,), serves=serves)


def say(text: str) -> None:
    """Print a line."""
    typer.echo(text)


def complain(text: str) -> None:
    """Print a line on stderr, with the name of the program."""
    command.complain(PROGRAM, text)


def read_settings() -> "AgentSettings":
    """Return the settings of this directory. Raises `typer.Exit` for one that is wrong."""
    from agent_runtime.settings import AgentSettings
    from groundwork.process.settings import BadSetting, load_settings

    try:
        return load_settings(AgentSettings)
    except BadSetting as error:
        complain(str(error))
        raise typer.Exit(CANNOT) from None


@asynccontextmanager
async def open_pool(settings: "AgentSettings", *, makes_it: bool) -> AsyncIterator[Any]:
    """Open the directory's database; one that is not there is made only by a command that `makes_it`."""
    from agent_runtime.data import open_database
    from groundwork.postgres import pool as pools

    async with (
        open_database(settings, Path.cwd(), makes_it=makes_it) as dsn,
        pools.open_pool(dsn, name="cli", max_size=2, prepare_threshold=settings.prepare_threshold) as pool,
    ):
        yield pool


@asynccontextmanager
async def open_threads() -> AsyncIterator["Threads"]:
    """Open the threads of this directory's agent."""
    from agent_runtime.database import check_database_ready
    from agent_runtime.errors import AgentIdRequired
    from agent_runtime.threads.service import Threads

    settings = read_settings().named_after(Path.cwd())
    if settings.agent_id is None:
        raise AgentIdRequired
    async with open_pool(settings, makes_it=False) as pool:
        await check_database_ready(pool, settings)
        yield Threads(pool, settings.agent_id, forget=lambda thread_ids: None)


@asynccontextmanager
async def open_records() -> AsyncIterator["TurnRecords"]:
    """Open the records of the turns of this directory's agent."""
    from agent_runtime.database import check_database_ready
    from agent_runtime.turn_records.service import TurnRecords

    settings = read_settings().named_after(Path.cwd())
    async with open_pool(settings, makes_it=False) as pool:
        await check_database_ready(pool, settings)
        yield TurnRecords(pool, settings.agent_id or "")
