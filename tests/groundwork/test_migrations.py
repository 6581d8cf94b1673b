"""The schema comes up once, whoever comes first."""

import asyncio

from agent_runtime.database import prepare_database
from groundwork.migrations import load_migrations
from groundwork.postgres import open_pool


async def test_ten_processes_starting_at_once_on_an_empty_database_all_come_up(empty_database_url: str) -> None:
    async def boot(number: int) -> None:
        async with open_pool(empty_database_url, name=f"boot-{number}", max_size=3) as pool:
            await prepare_database(pool)

    await asyncio.gather(*(boot(number) for number in range(10)))

    async with open_pool(empty_database_url, name="check", max_size=2) as pool, pool.connection() as conn:
        invalid = await (await conn.execute("SELECT indexrelid FROM pg_index WHERE NOT indisvalid")).fetchall()
        applied = await (await conn.execute("SELECT number FROM agent_sidecar_migrations")).fetchall()
    assert invalid == []
    assert len(applied) == len(load_migrations("agent_runtime.migrations"))
