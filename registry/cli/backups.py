"""`registry backup`, `registry restore` and `registry scrub`, of the embedded server."""

from pathlib import Path
from typing import Annotated

import typer

from registry.cli.common import load, run


def backup(
    file: Annotated[Path, typer.Argument(help="Where to write it; a file that is there is replaced.")],
) -> None:
    """Back up the embedded PostgreSQL of this directory, while the registry runs or not."""

    async def work() -> int:
        from groundwork.postgres.backup import back_up
        from registry.data import open_embedded_database

        async with open_embedded_database(load(), makes_it=False) as dsn:
            return await back_up(dsn, file)

    typer.echo(f"{file}: {run(work())} bytes.")


def restore(
    file: Annotated[Path, typer.Argument(help="What `registry backup` has written.")],
    replace: Annotated[
        bool, typer.Option("--replace", help="In the place of the data that is there, which is gone then.")
    ] = False,
) -> None:
    """Bring a backup back into the embedded PostgreSQL of this directory, in which no registry runs."""

    async def work() -> None:
        from groundwork.postgres import backup
        from registry.data import open_embedded_database
        from registry.database import MIGRATIONS_TABLE

        await backup.check_backup(file, MIGRATIONS_TABLE)
        async with open_embedded_database(load()) as dsn:
            await backup.restore(dsn, file, marker=MIGRATIONS_TABLE, replace=replace)

    run(work())
    typer.echo("Restored. `registry serve` goes on from there.")


def scrub() -> None:
    """Rewrite the embedded PostgreSQL of this directory, so that what was erased is gone from its files, too."""

    async def work() -> None:
        from groundwork.postgres.scrub import scrub
        from registry.data import open_embedded_database

        async with open_embedded_database(load(), makes_it=False) as dsn:
            await scrub(dsn)

    run(work())
    typer.echo("Every table and the write-ahead log were written anew.")
