"""What our command lines have in common: how they end, and what they say when they cannot."""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import typer

from groundwork.signals import Cancelling

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

    from groundwork.dsn import without_names
    from groundwork.embedded import EmbeddedPostgresFailed
    from groundwork.migrations import SchemaLockTimeout, SchemaNotReady, SchemaTooNew
    from groundwork.postgres import DatabaseUnavailable, refusal_of
    from groundwork.serving import AddressInUse

    everywhere: tuple[type[Exception], ...] = (
        AddressInUse,
        DatabaseUnavailable,
        EmbeddedPostgresFailed,
        SchemaLockTimeout,
        SchemaNotReady,
        SchemaTooNew,
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
        raise typer.Exit(cancelling.status(serves=serves)) from None


def _quickest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop's, where it is installed, which is everywhere but on Windows."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return None
    return new_event_loop


def busy(what: str) -> AbstractContextManager[object]:
    """Shows on a terminal that the work goes on; says nothing anywhere else."""
    from rich.console import Console

    console = Console(stderr=True)
    return console.status(f"{what} …") if console.is_terminal else nullcontext()
