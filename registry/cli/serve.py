"""`registry serve`, `registry worker` and `registry migrate`."""

import sys
from typing import Annotated

import typer

from registry.cli.common import load, open_own_database, run


def serve(
    migrate: Annotated[bool, typer.Option(help="Bring the database schema to this release first.")] = True,
    worker: Annotated[bool, typer.Option(help="Run executions in this process too.")] = True,
) -> None:
    """Serve the registry until Ctrl-C."""
    from registry.serve import serve_registry

    attended = sys.stdin.isatty() and sys.stdout.isatty()
    run(serve_registry(load(), migrate=migrate, worker=worker, show_once=typer.echo if attended else None))


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
    from registry.serve import work

    changes: dict[str, object] = {}
    if concurrency is not None:
        changes["jamjet_worker_concurrency"] = concurrency
    if queues is not None:
        changes["jamjet_worker_queues"] = tuple(filter(None, map(str.strip, queues.split(","))))
    run(work(load().model_copy(update=changes)))


def migrate() -> None:
    """Bring the database schema to this release, and do nothing else."""

    async def work() -> None:
        async with open_own_database():
            typer.echo("The schema is up to date.")

    run(work())
