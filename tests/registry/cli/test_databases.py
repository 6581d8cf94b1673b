"""Only `registry serve` and `registry migrate` make a database, or change its schema."""

import re

import pytest

from tests.registry.cli.commands import registry_command

COMMANDS = [
    ("tokens", "create", "--role", "operator"),
    ("tokens", "list"),
    ("tenants", "create", "acme"),
    ("audit", "verify"),
    ("audit", "list"),
    ("worker",),
]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
async def test_nothing_is_made_in_a_directory_without_data(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = await registry_command(*command, database_url="")
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"looked in {tmp_path}/.jamjet/postgres" in done.stderr
    assert "`registry serve`" in done.stderr
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", COMMANDS[:-1], ids=" ".join)
async def test_nothing_is_migrated(command, empty_database_url, registry_pool, registry_dsn):
    done = await registry_command(*command, database_url=empty_database_url)
    assert (done.exit_code, "where nothing of this program is" in done.stderr) == (2, True)
    async with registry_pool.connection() as conn:
        await conn.execute("DELETE FROM registry_migrations WHERE number >= 13")
        older = await registry_command(*command, database_url=registry_dsn)
        kept = await (await conn.execute("SELECT max(number) AS newest FROM registry_migrations")).fetchone()
    assert (older.exit_code, "lacks migration 13" in older.stderr) == (2, True)
    assert kept == {"newest": 12}
    assert re.search(r"looked in PostgreSQL at \S+", older.stderr)
