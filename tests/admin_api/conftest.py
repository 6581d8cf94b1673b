"""The admin API mounted on an app with a graph of its own, served over a real socket."""

from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
import pytest
from psycopg import AsyncConnection
from psycopg.rows import DictRow
from psycopg_pool import AsyncConnectionPool

from admin_api import MountedAgent
from groundwork.postgres.pool import Pool
from tests.admin_api.answers import serve
from tests.stock_graphs import say

Talk = Callable[..., Awaitable[None]]


@pytest.fixture
def agent(pool: Pool) -> MountedAgent:
    return MountedAgent("my-agent", pool)


@pytest.fixture
def other_agent(pool: Pool) -> MountedAgent:
    """Another agent in the same database."""
    return MountedAgent("other-agent", pool)


@pytest.fixture
def idle_agent() -> MountedAgent:
    """An agent that no test of its asks for data: its pool is never opened."""
    return MountedAgent("my-agent", AsyncConnectionPool(connection_class=AsyncConnection[DictRow], open=False))


@pytest.fixture
async def idle_client(idle_agent: MountedAgent) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(idle_agent) as client:
        yield client


@pytest.fixture
async def client(agent: MountedAgent) -> AsyncIterator[httpx.AsyncClient]:
    async with serve(agent) as client:
        yield client


@pytest.fixture
def talk(pool: Pool) -> Talk:
    """A turn of a host's own graph, with the stock saver: `await talk(agent, thread_id, text, ...)`."""

    async def talk(agent: MountedAgent, thread_id: str, *texts: str) -> None:
        for text in texts or ("hello",):
            await agent.threads.claim(thread_id)
            await say(pool, thread_id, text)

    return talk
