"""`registry serve` as a process, and a registry whose database goes away."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest

from groundwork.http.serving import bind
from groundwork.postgres.embedded import open_embedded
from groundwork.postgres.pool import open_pool
from registry.data import describe_database
from registry.database import prepare_database
from registry.settings import RegistrySettings
from tests.processes import registry_process, run_to_its_end
from tests.registry.registries import running_registry


async def test_it_says_where_it_is_and_keeps_its_data_in_the_directory_it_was_started_in(
    data_directory: Path,
) -> None:
    async with registry_process(data_directory) as registry:
        assert (data_directory / ".jamjet" / "postgres" / "PG_VERSION").exists()
        assert registry.terminate() == 0
    said = registry.log.read_text()
    assert f"registry   {registry.url}, known to others as {registry.url}\n" in said
    assert "data       embedded PostgreSQL in .jamjet/postgres\n" in said
    assert "Traceback" not in said


async def test_it_serves_in_developer_mode_as_jamjet_starts_it(registry_dsn: str, tmp_path: Path) -> None:
    settings = {"jamjet_dev_mode": 1, "database_url": registry_dsn, "rust_log": "info", "jamjet_bind": "127.0.0.1"}
    async with (
        registry_process(tmp_path, **settings) as registry,
        httpx.AsyncClient(base_url=registry.url) as http,
    ):
        assert (await http.get("/audit")).status_code == 200
    assert registry.process.returncode == 0
    assert "developer mode: nobody is asked for a token" in registry.log.read_text()


@pytest.mark.parametrize(
    ("database_url", "said"),
    [
        ("", "embedded PostgreSQL in .jamjet/postgres"),
        (
            "sqlite://.jamjet/runtime.db",
            "embedded PostgreSQL in .jamjet/runtime.db.postgres, in place of .jamjet/runtime.db",
        ),
        ("data/runtime.db", "embedded PostgreSQL in data/runtime.db.postgres, in place of data/runtime.db"),
        ("sqlite::memory:", "a temporary PostgreSQL, deleted at exit"),
        ("postgresql://ann:secret@db.test/registry", "PostgreSQL at db.test:5432/registry"),
    ],
)
def test_what_an_address_selects_is_told(database_url: str, said: str) -> None:
    assert describe_database(RegistrySettings(_env_file=None, database_url=database_url)) == said


def test_an_address_in_use_is_one_line(tmp_path: Path) -> None:
    with bind("127.0.0.1", 0) as taken:
        port = taken.getsockname()[1]
        status, said = run_to_its_end(tmp_path, "registry", "serve", jamjet_port=port)
    assert status == 2
    assert said.startswith(f"registry: cannot listen on 127.0.0.1:{port}: ")
    assert said.count("\n") == 1


async def test_a_registry_whose_database_is_away_says_so_and_is_there_again_with_it(data_directory: Path) -> None:
    data = data_directory / "postgres"
    async with AsyncExitStack() as running:
        async with open_embedded(data) as dsn:
            async with open_pool(dsn, name="prepare", max_size=2) as pool:
                await prepare_database(pool)
            registry = await running.enter_async_context(running_registry(dsn))
        away, ready, alive = await asyncio.gather(*map(registry.http.get, ("/audit", "/readyz", "/health")))
        await running.enter_async_context(open_embedded(data))
        async with asyncio.timeout(20):
            while (back := await registry.http.get("/audit")).status_code != 200:
                await asyncio.sleep(0.1)
        await running.aclose()
    assert (away.status_code, ready.status_code, alive.status_code) == (503, 503, 200)
    assert away.json()["error"] == "unavailable: the database cannot be reached at the moment; try again"
    assert away.headers["retry-after"] == "1"
    assert back.json()["items"][0]["event_type"] == "token_created"


async def test_developer_mode_asks_nobody_who_calls_it_by_its_name(registry_dsn: str) -> None:
    async with running_registry(registry_dsn, jamjet_dev_mode=True) as registry:
        nobody = await registry.client()
        assert (await nobody.get("/audit")).status_code == 200
        assert (await nobody.get("/audit", headers={"Host": "evil.test"})).status_code == 403
        assert (await nobody.get("/audit", headers={"Origin": "https://evil.test"})).status_code == 403
        assert (await nobody.post("/tenants", json={"id": "acme", "name": "Acme"})).status_code == 201
        written = (await nobody.get("/audit")).json()["items"][0]
    assert (written["event_type"], written["actor_id"], written["actor_type"]) == (
        "tenant_created",
        "dev",
        "developer-mode",
    )
