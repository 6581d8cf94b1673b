"""What is told as "the database is away", and what is not."""

import psycopg
import pytest

from groundwork.postgres.pool import DatabaseUnavailable, database_errors


async def test_a_server_that_is_not_there_is_unavailable():
    with pytest.raises(DatabaseUnavailable), database_errors():
        await psycopg.AsyncConnection.connect("host=127.0.0.1 port=1 connect_timeout=2")


async def test_a_value_that_is_too_large_is_not_for_another_try(server_dsn: str):
    too_large = psycopg.errors.ProgramLimitExceeded
    with psycopg.connect(server_dsn) as conn, pytest.raises(too_large), database_errors():
        conn.execute("SELECT repeat('x', 2000000000)")
