"""Connections that were lost cost nobody a request."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from groundwork.postgres import Pool, open_pool


@pytest.fixture
async def narrow(database_url: str) -> AsyncIterator[Pool]:
    """A pool of one connection."""
    async with open_pool(database_url, name="narrow", max_size=1) as pool:
        yield pool


async def backend(pool: Pool) -> int:
    async with pool.connection() as conn:
        row = await (await conn.execute("SELECT pg_backend_pid() AS pid")).fetchone()
    assert row is not None
    return int(row["pid"])


async def test_a_connection_whose_server_was_killed_a_moment_ago_is_replaced(
    narrow: Pool, database_url: str
) -> None:
    for _ in range(3):
        lost = await backend(narrow)
        with psycopg.connect(database_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", (lost,))
        assert await backend(narrow) != lost
