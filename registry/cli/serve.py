"""`registry serve`, `registry worker` and `registry migrate`."""

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated

import typer

from registry.cli.common import load, run

if TYPE_CHECKING:
    from registry.settings import RegistrySettings


def serve(
    migrate: Annotated[bool, typer.Option(help="Bring the database schema to this release first.")] = True,
    worker: Annotated[bool, typer.Option(help="Run executions in this process too.")] = True,
) -> None:
    """Serve the registry until Ctrl-C."""
    from groundwork.process.garbage import pause_collection

    pause_collection()
    attended = sys.stdin.isatty() and sys.stdout.isatty()
    run(_serve(load(), migrate, worker, typer.echo if attended else None), serves=True)


def worker(
    concurrency: Annotated[
        int | None, typer.Option(min=1, max=1000, help="How many executions at a time; JAMJET_WORKER_CONCURRENCY.")
    ] = None,
    queues: Annotated[
        str | None,
        typer.Option(help="Only executions of these queues, separated by commas; JAMJET_WORKER_QUEUES."),
    ] = None,
) -> None:
    """Run executions until Ctrl-C, on this or any other machine that reaches the database."""
    from groundwork.process.garbage import pause_collection

    pause_collection()
    changes: dict[str, object] = {}
    if concurrency is not None:
        changes["jamjet_worker_concurrency"] = concurrency
    if queues is not None:
        changes["jamjet_worker_queues"] = tuple(filter(None, map(str.strip, queues.split(","))))
    run(_work(load().model_copy(update=changes)), serves=True)


def migrate() -> None:
    """Bring the database schema to this release, and do nothing else."""

    async def work() -> None:
        from registry.database import open_registry_pool, prepare_database

        async with open_registry_pool(load(), "registry-migrate") as pool:
            await prepare_database(pool)
        typer.echo("The schema is up to date.")

    run(work())


def with_database(command: Annotated[list[str], typer.Argument(help="What to run, with its arguments.")]) -> None:
    """Run a command, such as pg_restore, while the embedded PostgreSQL of this directory runs."""
    from groundwork.command import run_with

    async def work() -> int:
        from registry.data import open_embedded_database

        async with open_embedded_database(load()) as dsn:
            return await run_with(dsn, command)

    raise typer.Exit(run(work()))


# The embedded server comes up while the rest is imported.


async def _serve(
    settings: "RegistrySettings", migrate: bool, worker: bool, show_once: Callable[[str], None] | None
) -> None:
    from groundwork.process.overlap import imported, opening
    from registry.data import open_database

    async with opening(open_database(settings)) as database:
        server = await imported("registry.serve")
        await server.serve_registry(
            settings, migrate=migrate, worker=worker, show_once=show_once, database=database
        )


async def _work(settings: "RegistrySettings") -> None:
    from groundwork.process.overlap import imported, opening
    from registry.data import open_database

    async with opening(open_database(settings, makes_it=False)) as database:
        server = await imported("registry.serve")
        await server.work(settings, database=database)
