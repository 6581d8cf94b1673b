"""Connections that were lost cost nobody a request."""

from collections.abc import AsyncIterator

import psycopg
import pytest

from groundwork.postgres.pool import Connection, DatabaseUnavailable, Pool, open_pool, run_repeatable


@pytest.fixture
async def narrow(database_url: str) -> AsyncIterator[Pool]:
    """A pool of one connection."""
    async with open_pool(database_url, name="narrow", max_size=1) as pool:
        yield pool


async def backend(pool: Pool) -> int:
    async with pool.connection() as conn:
        return await pid_of(conn)


async def pid_of(conn: Connection) -> int:
    row = await (await conn.execute("SELECT pg_backend_pid() AS pid")).fetchone()
    assert row is not None
    return int(row["pid"])


def kill(pid: int, database_url: str) -> None:
    """Once this returns, the server has ended the connection."""
    with psycopg.connect(database_url, autocommit=True) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


async def test_a_connection_whose_server_was_killed_a_moment_ago_is_replaced(
    narrow: Pool, database_url: str
) -> None:
    for _ in range(3):
        lost = await backend(narrow)
        kill(lost, database_url)
        assert await backend(narrow) != lost


async def test_repeatable_work_is_done_again_on_another_connection(narrow: Pool, database_url: str) -> None:
    lost, on = await backend(narrow), []

    async def work(conn: Connection) -> int:
        on.append(conn.info.backend_pid)
        return await pid_of(conn)

    kill(lost, database_url)
    assert await run_repeatable(narrow, work) == on[1] != on[0] == lost


async def test_repeatable_work_that_breaks_its_second_connection_too_has_failed(
    narrow: Pool, database_url: str
) -> None:
    on = []

    async def work(conn: Connection) -> int:
        on.append(conn.info.backend_pid)
        kill(on[-1], database_url)
        return await pid_of(conn)

    with pytest.raises(DatabaseUnavailable):
        await run_repeatable(narrow, work)
    assert len(set(on)) == 2
    assert await backend(narrow) not in on


@pytest.mark.parametrize(
    ("statement", "error"),
    [
        ("SELECT 1 / 0", psycopg.errors.DivisionByZero),
        ("SET statement_timeout = 10; SELECT pg_sleep(5)", DatabaseUnavailable),
    ],
)
async def test_work_that_fails_on_a_sound_connection_is_not_done_again(
    narrow: Pool, statement: str, error: type[Exception]
) -> None:
    on = []

    async def work(conn: Connection) -> None:
        on.append(conn.info.backend_pid)
        await conn.execute(statement)

    with pytest.raises(error):
        await run_repeatable(narrow, work)
    assert on == [await backend(narrow)]
