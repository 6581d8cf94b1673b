"""One served agent per module for tests that can share it, and a fresh one for those that cannot.

Such modules say `pytestmark = pytest.mark.asyncio(loop_scope="module")`: the shared agent lives in their loop.
"""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio
from psycopg.conninfo import make_conninfo

from groundwork.postgres.pool import Pool, open_pool
from tests.agent_runtime.a2a_server.serving import Served, serving
from tests.databases import create_database, drop_database


@pytest.fixture(scope="module")
def shared_database_url(server_dsn: str, template_database: str) -> Iterator[str]:
    name = create_database(server_dsn, template_database)
    yield make_conninfo(server_dsn, dbname=name)
    drop_database(server_dsn, name)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def agent(shared_database_url: str) -> AsyncIterator[Served]:
    async with open_pool(shared_database_url, name="shared", max_size=10) as pool, serving(pool) as served:
        yield served


@pytest_asyncio.fixture(loop_scope="module")
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(database_url, name="test", max_size=10) as pool:
        yield pool


@pytest_asyncio.fixture(loop_scope="module")
async def fresh(pool: Pool) -> AsyncIterator[Served]:
    async with serving(pool) as served:
        yield served
