"""One registry for all tests of the console: most of what they cost is opening one. They run in its loop, and each
looks at what it has made itself."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.databases import ReusedDatabase
from tests.registry.console.lived_in import LivedIn, living_in


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def registry(server_dsn: str, registry_template: str) -> AsyncIterator[LivedIn]:
    """A served registry that asks for tokens, with a worker, in which something of everything is there."""
    database = ReusedDatabase(server_dsn, registry_template)
    async with living_in(database.emptied()) as served:
        yield served
    database.drop()
