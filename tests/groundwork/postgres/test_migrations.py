"""The schema comes up once, whoever comes first."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

import agent_runtime.database
import registry.database
from groundwork.postgres.migrations import load_migrations
from groundwork.postgres.pool import Pool, open_pool


@pytest.mark.parametrize(
    ("prepare", "table", "migrations"),
    [
        (
            agent_runtime.database.prepare_database,
            agent_runtime.database.MIGRATIONS_TABLE,
            "agent_runtime.migrations",
        ),
        (registry.database.prepare_database, registry.database.MIGRATIONS_TABLE, "registry.migrations"),
    ],
    ids=["agent", "registry"],
)
async def test_ten_processes_starting_at_once_on_an_empty_database_all_come_up(
    prepare: Callable[[Pool], Awaitable[None]], table: str, migrations: str, empty_database_url: str
) -> None:
    async def boot(number: int) -> None:
        async with open_pool(empty_database_url, name=f"boot-{number}", max_size=3) as pool:
            await prepare(pool)

    await asyncio.gather(*(boot(number) for number in range(10)))

    async with open_pool(empty_database_url, name="check", max_size=2) as pool, pool.connection() as conn:
        invalid = await (await conn.execute("SELECT indexrelid FROM pg_index WHERE NOT indisvalid")).fetchall()
        applied = await (await conn.execute(f"SELECT number FROM {table}")).fetchall()
    assert invalid == []
    assert len(applied) == len(load_migrations(migrations))
