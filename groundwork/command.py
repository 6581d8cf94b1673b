"""What our command lines have in common: how they end, and what they say when they cannot."""

import asyncio
import logging
import os
import sys
from collections.abc import Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Any

import typer

from groundwork.process.signals import Cancelling

logger = logging.getLogger(__name__)

CANNOT = 2
"""Exit status when the settings, the address, the database or the like make a command impossible."""


def complain(program: str, text: str) -> None:
    """One line on stderr, whatever the text."""
    typer.echo(f"{program}: {' '.join(text.split())}", err=True)


def run(
    program: str,
    work: Coroutine[Any, Any, Any],
    impossible: tuple[type[Exception], ...] = (),
    *,
    serves: bool = False,
) -> Any:
    """Runs a command to its end, one that `serves` on the quickest event loop there is. What makes it impossible,
    `impossible` and what every service of ours can run into, is said in one line, without a traceback. Raises
    `typer.Exit`."""
    from psycopg import Error as PostgresError

    from groundwork.http.serving import AddressInUse
    from groundwork.postgres.backup import BackupFailed
    from groundwork.postgres.dsn import without_names
    from groundwork.postgres.embedded import EmbeddedPostgresFailed
    from groundwork.postgres.migrations import SchemaLockTimeout, SchemaNotReady, SchemaTooNew
    from groundwork.postgres.pool import DatabaseUnavailable, refusal_of
    from groundwork.postgres.scrub import ScrubFailed

    everywhere: tuple[type[Exception], ...] = (
        AddressInUse,
        BackupFailed,
        DatabaseUnavailable,
        EmbeddedPostgresFailed,
        NoSuchCommand,
        SchemaLockTimeout,
        SchemaNotReady,
        SchemaTooNew,
        ScrubFailed,
    )
    cancelling = Cancelling()

    async def watched() -> Any:
        cancelling.watch()
        return await work

    try:
        with asyncio.Runner(loop_factory=_quickest_loop() if serves else None) as runner:
            return runner.run(watched())
    except impossible + everywhere as error:
        complain(program, str(error))
        raise typer.Exit(CANNOT) from None
    except PostgresError as error:
        logger.debug("refused by PostgreSQL", exc_info=error)
        complain(program, without_names(refusal_of(error)))
        raise typer.Exit(CANNOT) from None
    except (KeyboardInterrupt, asyncio.CancelledError):
        status = cancelling.status(serves=serves)
        if serves:
            _leave(status)
        raise typer.Exit(status) from None


def _leave(status: int) -> None:
    """End the process at once. All is closed, and an import may still go on in a thread (`overlap.imported`): the
    interpreter's own end would cut that off in the middle of foreign code, which aborts then."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    os._exit(status)


def _quickest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where it is installed, which is everywhere but on Windows."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop


class NoSuchCommand(Exception):
    """The command that was to be run cannot be started; the message says why."""


async def run_with(dsn: str, command: Sequence[str]) -> int:
    """Run another program, for which libpq's variables name the database. Returns its exit status.

    Raises `NoSuchCommand`.
    """
    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(dsn)
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname"}
    given = {variable: str(parts[name]) for variable, name in names.items() if name in parts}
    try:
        process = await asyncio.create_subprocess_exec(*command, env={**os.environ, **given})
    except OSError as error:
        raise NoSuchCommand(f"cannot run {command[0]}: {error.strerror}") from error
    try:
        return await process.wait()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise


def busy(what: str) -> AbstractContextManager[object]:
    """Shows on a terminal that the work goes on; says nothing anywhere else."""
    from rich.console import Console

    console = Console(stderr=True)
    return console.status(f"{what} …") if console.is_terminal else nullcontext()
