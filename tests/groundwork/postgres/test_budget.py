"""A process that would want more connections than there can be says so when it starts."""

import logging

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from groundwork.postgres.pool import DatabaseNotReachable, open_pool


@pytest.fixture
def role(server_dsn: str, database_url: str):
    """A role that may hold six connections."""
    with psycopg.connect(server_dsn, autocommit=True) as conn:
        conn.execute("CREATE ROLE six LOGIN PASSWORD 'six' CONNECTION LIMIT 6")
        yield make_conninfo(database_url, user="six", password="six")
        conn.execute("DROP ROLE six")


async def test_more_connections_than_the_server_takes_are_refused_at_start(server_dsn: str) -> None:
    with pytest.raises(
        DatabaseNotReachable, match=r"POSTGRES_POOL_SIZE: .* hold 5000 connections, and .* takes \d+"
    ):
        async with open_pool(server_dsn, name="test", max_size=5000):
            pass


async def test_what_the_role_may_hold_counts_and_so_does_what_is_opened_beside_the_pool(role: str) -> None:
    async with open_pool(role, name="test", max_size=5, beside=1):
        pass
    with pytest.raises(DatabaseNotReachable, match="hold 7 connections, and PostgreSQL takes 6"):
        async with open_pool(role, name="test", max_size=6, beside=1):
            pass


async def test_more_than_other_processes_leave_is_a_warning(role: str, caplog: pytest.LogCaptureFixture) -> None:
    other = "agent-sidecar agent 0123abcd of 4"
    async with (
        await psycopg.AsyncConnection.connect(role, application_name=other),
        await psycopg.AsyncConnection.connect(role, application_name=other),
        open_pool(role, name="test", max_size=2) as first,
    ):
        await first.wait()
        assert "connection budget exceeded" not in caplog.text
        with caplog.at_level(logging.WARNING):
            async with open_pool(role, name="second", max_size=3):
                pass
    assert "connection budget exceeded wanted=9 available=6" in caplog.text


async def test_connections_say_whose_they_are(database_url: str) -> None:
    for dsn, expected in (
        (database_url, "agent-sidecar test "),
        (f"{database_url} application_name=mine", "mine"),
    ):
        async with open_pool(dsn, name="test", max_size=3) as pool, pool.connection() as conn:
            row = await (await conn.execute("SHOW application_name")).fetchone()
            assert row is not None
            assert row["application_name"].startswith(expected)
