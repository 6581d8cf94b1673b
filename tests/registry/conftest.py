"""A registry of the test's own, on a fresh copy of a migrated database, served over a real socket."""

from collections.abc import AsyncIterator, Iterator

import pytest

from groundwork.postgres.pool import Pool, open_pool
from registry.database import prepare_database
from tests.databases import ReusedDatabase, migrated_template
from tests.registry.registries import Served, running_registry


@pytest.fixture(scope="session")
def registry_template(server_dsn: str) -> Iterator[str]:
    """The name of a database with the registry's schema and nothing in it."""
    with migrated_template(server_dsn, prepare_database) as name:
        yield name


@pytest.fixture(scope="session")
def reused_registry_database(server_dsn: str, registry_template: str) -> Iterator[ReusedDatabase]:
    reused = ReusedDatabase(server_dsn, registry_template)
    yield reused
    reused.drop()


@pytest.fixture
def registry_dsn(reused_registry_database: ReusedDatabase) -> str:
    """The DSN of a registry's database of this test's own, migrated and empty."""
    return reused_registry_database.emptied()


@pytest.fixture
async def registry_pool(registry_dsn: str) -> AsyncIterator[Pool]:
    async with open_pool(registry_dsn, name="test", max_size=10) as pool:
        yield pool


@pytest.fixture
async def registry(registry_dsn: str) -> AsyncIterator[Served]:
    """A served registry that asks for tokens; `registry.http` carries one of an operator of the platform."""
    async with running_registry(registry_dsn) as served:
        yield served
