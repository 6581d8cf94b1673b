"""The command `registry`, run in this process."""

import asyncio
import threading

from typer.testing import CliRunner, Result

from registry.cli.main import app

_running = threading.Lock()


async def registry_command(*arguments: str, **settings: str) -> Result:
    """Runs `registry` with these arguments, and with these settings by their names in lower case.

    One at a time: while it runs, this process's `sys.stdout` is its own.
    """
    environment = {name.upper(): value for name, value in settings.items()}
    if not _running.acquire(blocking=False):
        raise RuntimeError("another command is running")
    try:
        return await asyncio.to_thread(CliRunner().invoke, app, arguments, env=environment)
    finally:
        _running.release()
