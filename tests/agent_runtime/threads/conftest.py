"""Conversations as LangGraph's own saver writes them, and the threads service over them."""

from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from agent_runtime.threads.service import Threads
from groundwork.postgres.pool import Connection, Pool
from tests.stock_graphs import say

Talk = Callable[..., Awaitable[None]]


@pytest.fixture
def forgotten() -> list[str]:
    """The threads that the service has told its process to forget."""
    return []


@pytest.fixture
def threads(pool: Pool, forgotten: list[str]) -> Threads:
    """The threads of the agent `mine`."""
    return Threads(pool, "mine", forget=forgotten.extend)


@pytest.fixture
def others(pool: Pool) -> Threads:
    """The threads of another agent, `theirs`."""
    return Threads(pool, "theirs", forget=lambda thread_ids: None)


@pytest.fixture
def talk(pool: Pool) -> Talk:
    """Turns of a graph that repeats what it is told: `await talk(thread_id, text, ...)`."""

    async def talk(thread_id: str, *texts: str) -> None:
        for text in texts or ("hello",):
            await say(pool, thread_id, text)

    return talk


@pytest.fixture
async def conn(pool: Pool) -> AsyncIterator[Connection]:
    async with pool.connection() as conn:
        yield conn
