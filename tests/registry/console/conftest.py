"""One registry for all tests of the console: most of what they cost is opening one. They run in its loop, and each
looks at what it has made itself."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.databases import ReusedDatabase
from tests.registry.console.lived_in import LivedIn, living_in


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def registry(
    server_dsn: str, registry_template: str, template_database: str, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[LivedIn]:
    """A served registry that asks for tokens, with a worker, in which something of everything is there."""
    of_registry = ReusedDatabase(server_dsn, registry_template)
    of_agent = ReusedDatabase(server_dsn, template_database)
    directory = tmp_path_factory.mktemp("helper")
    async with living_in(of_registry.emptied(), of_agent.emptied(), directory) as served:
        yield served
    of_registry.drop()
    of_agent.drop()
