from collections.abc import AsyncIterator

import pytest

from groundwork.postgres import Pool
from tests.agent_runtime.a2a_server.serving import Served, serving


@pytest.fixture
async def agent(pool: Pool) -> AsyncIterator[Served]:
    async with serving(pool) as served:
        yield served
