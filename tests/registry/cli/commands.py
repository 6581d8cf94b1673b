"""The command `registry`, run in this process."""

import asyncio

from typer.testing import CliRunner, Result

from registry.cli.main import app


async def registry_command(*arguments: str, **settings: str) -> Result:
    """Runs `registry` with these arguments, and with these settings by their names in lower case."""
    environment = {name.upper(): value for name, value in settings.items()}
    return await asyncio.to_thread(CliRunner().invoke, app, arguments, env=environment)
