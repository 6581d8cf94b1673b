"""Whatever a database or a signal does to a start: it works, or ends as it should, and leaves nothing behind."""

import asyncio
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from groundwork.postgres import Pool, open_pool
from registry.database import prepare_database
from tests.agents import running_agent, write_project
from tests.registry.registries import running_registry

UNUSUAL = {
    "default_transaction_isolation": "serializable",
    "default_transaction_read_only": "on",
    "default_transaction_deferrable": "on",
    "statement_timeout": "5s",
    "idle_in_transaction_session_timeout": "5s",
    "idle_session_timeout": "1s",
    "TimeZone": "Asia/Seoul",
    "DateStyle": "German",
    "IntervalStyle": "iso_8601",
    "bytea_output": "escape",
    "client_encoding": "latin1",
    "row_security": "off",
}


@pytest.fixture
def unusual(server_dsn: str, empty_database_url: str) -> str:
    """An empty database whose defaults are not PostgreSQL's."""
    name = conninfo_to_dict(empty_database_url)["dbname"]
    with psycopg.connect(server_dsn, autocommit=True) as conn:
        for setting, value in UNUSUAL.items():
            conn.execute(f"ALTER DATABASE {name} SET {setting} = '{value}'".encode())
    return empty_database_url


async def test_an_agent_starts_and_answers_whatever_the_defaults_of_its_database_are(
    unusual: str, tmp_path: Path
) -> None:
    project = write_project(tmp_path / "project")
    async with asyncio.timeout(60), running_agent(project, unusual, migrate=True) as agent:
        assert await agent.ask("Grüße aus 서울", "c1")
        assert (await agent.messages("c1"))[0]["content"] == "Grüße aus 서울"
        assert await settings_of(agent.runtime.pool) == ("read committed", "off", "UTC", "ISO, MDY", "UTF8")


async def test_a_registry_starts_and_works_whatever_the_defaults_of_its_database_are(unusual: str) -> None:
    async with asyncio.timeout(60), open_pool(unusual, name="prepare", max_size=2) as pool:
        await prepare_database(pool)
        async with running_registry(unusual, worker=True) as registry:
            assert (await registry.http.post("/tenants", json={"id": "acme", "name": "Ä"})).status_code == 201
            entries = (await registry.http.get("/audit")).json()["items"]
    assert entries[0]["created_at"].endswith(("Z", "+00:00"))


async def settings_of(pool: Pool) -> tuple[str, ...]:
    names = ("transaction_isolation", "transaction_read_only", "TimeZone", "DateStyle", "client_encoding")
    async with pool.connection() as conn:
        query = "SELECT " + ", ".join(f"current_setting('{name}') AS \"{name}\"" for name in names)
        row = await (await conn.execute(query.encode())).fetchone()
    assert row is not None
    return tuple(row.values())
