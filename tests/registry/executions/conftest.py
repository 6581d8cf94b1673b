"""A registry that runs what is started."""

from collections.abc import AsyncIterator

import pytest

from tests.registry.registries import Served, running_registry


@pytest.fixture
async def registry(registry_dsn: str) -> AsyncIterator[Served]:
    """A served registry with a worker; `registry.http` carries the token of an operator of the platform."""
    async with running_registry(registry_dsn, worker=True) as served:
        yield served
