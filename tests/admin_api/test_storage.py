"""How much there is, over HTTP."""

import httpx

from admin_api import MountedAgent
from groundwork.postgres.pool import Pool
from tests.admin_api.answers import data_of, outcome
from tests.admin_api.conftest import Talk
from tests.stock_graphs import say


async def test_storage_tells_bytes_by_table_and_the_agents_largest_threads(
    client: httpx.AsyncClient, agent: MountedAgent, other_agent: MountedAgent, talk: Talk, pool: Pool
) -> None:
    async with pool.connection() as conn:  # rows of files that the tests before have made large are estimated
        await conn.execute("TRUNCATE agent_threads, checkpoints, checkpoint_blobs, checkpoint_writes CASCADE")
    await talk(agent, "small", "hello")
    await talk(agent, "large", *(f"{number} {'word ' * 2000}" for number in range(3)))
    await talk(other_agent, "theirs", "x" * 200_000)
    await say(pool, "nobody's", "hello")
    data = data_of(await client.get("/api/v1/storage"))
    assert [thread["thread_id"] for thread in data["largest_threads"]] == ["large", "small"]
    assert data["largest_threads"][0]["bytes"] > 2 * data["largest_threads"][1]["bytes"] > 0
    assert data["tables"]["agent_threads"]["rows"] == 3
    assert data["bytes"] == sum(table["bytes"] for table in data["tables"].values()) > 100_000
    assert (data["agent_id"], data["sampled"]) == ("my-agent", False)
    assert outcome(await client.get("/api/v1/storage?limit=1")) == (400, "INVALID_PARAM")


async def test_every_table_of_an_agents_database_is_told_of(client: httpx.AsyncClient, pool: Pool) -> None:
    async with pool.connection() as conn:
        rows = await (await conn.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")).fetchall()
    assert set(data_of(await client.get("/api/v1/storage"))["tables"]) == {row["tablename"] for row in rows}
