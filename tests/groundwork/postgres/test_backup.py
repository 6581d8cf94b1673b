"""A backup takes the place of a database when it is whole, and when nobody is in it."""

import stat
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from groundwork.postgres.backup import BackupFailed, back_up, check_backup, restore
from tests.databases import create_database, drop_database


@pytest.fixture
def databases(server_dsn: str) -> Iterator[tuple[str, str]]:
    names = [create_database(server_dsn) for _ in range(2)]
    yield make_conninfo(server_dsn, dbname=names[0]), make_conninfo(server_dsn, dbname=names[1])
    for name in names:
        drop_database(server_dsn, name)


def notes(dsn: str, *statements: str) -> list[str]:
    with psycopg.connect(dsn, autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement)
        return [row[0] for row in conn.execute("SELECT text FROM notes").fetchall()]


async def test_a_backup_replaces_a_database_only_when_it_is_told_to_and_nobody_uses_it(
    databases: tuple[str, str], tmp_path: Path
) -> None:
    first, second = databases
    file = tmp_path / "backup.dump"
    notes(first, "CREATE TABLE notes (text text)", "INSERT INTO notes VALUES ('tea')")
    assert await back_up(first, file) == file.stat().st_size
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    await check_backup(file, "notes")
    with psycopg.connect(second), pytest.raises(BackupFailed, match="in use"):
        await restore(second, file, marker="notes", replace=True)
    await restore(second, file, marker="notes", replace=False)
    assert notes(second, "INSERT INTO notes VALUES ('milk')") == ["tea", "milk"]
    with pytest.raises(BackupFailed, match="say --replace"):
        await restore(second, file, marker="notes", replace=False)
    assert notes(second) == ["tea", "milk"]
    await restore(second, file, marker="notes", replace=True)
    assert notes(second) == ["tea"]


async def test_what_is_no_backup_of_the_service_or_is_damaged_changes_nothing(
    databases: tuple[str, str], tmp_path: Path
) -> None:
    first, _ = databases
    file = tmp_path / "backup.dump"
    assert notes(first, "CREATE TABLE notes (text text)", "INSERT INTO notes VALUES ('tea')") == ["tea"]
    await back_up(first, file)
    with pytest.raises(BackupFailed, match="has no table agents"):
        await check_backup(file, "agents")
    with pytest.raises(BackupFailed, match="could not open"):
        await check_backup(tmp_path / "none.dump", "notes")
    file.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(BackupFailed):
        await restore(first, file, marker="notes", replace=True)
    assert notes(first) == ["tea"]
    with pytest.raises(BackupFailed, match="cannot write"):
        await back_up(first, tmp_path / "nowhere" / "backup.dump")
