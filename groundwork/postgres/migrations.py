"""Numbered migrations: in order, once, by one process at a time."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from importlib import resources

from groundwork.postgres.pool import Connection, Pool, connection, is_pooled, transaction

_FILENAME = re.compile(r"^(\d{4})_[a-z0-9_]+\.sql$")

# Any number will do, as long as every process of ours that changes the schema uses the same one. It stands in
# the text because a parameter would leave a portal open, and with it a snapshot, for which `CREATE INDEX
# CONCURRENTLY` on another connection waits until the transaction ends.
_TRY_SCHEMA_LOCK = "SELECT pg_try_advisory_xact_lock(1548630529) AS held"

# The lock's transaction is idle while others work under it, for as long as they need. A release that does not know
# a setting does not list it; and no parameters, as above.
_WAIT_FOR_EVER = (
    "SELECT set_config(name, '0', true) FROM pg_settings"
    " WHERE name IN ('idle_in_transaction_session_timeout', 'transaction_timeout')"
)


class SchemaLockTimeout(Exception):
    """Another process has held the schema lock for longer than we are willing to wait."""


class SchemaTooNew(Exception):
    """The database was migrated by a newer release than this one."""


class SchemaNotReady(Exception):
    """The database has no schema of ours, or one that needs migrations of this release."""


@dataclass(frozen=True)
class Migration:
    number: int
    name: str
    sql: str


def load_migrations(package: str) -> list[Migration]:
    """The migrations shipped in `package`, in order. Raises `ValueError` on a gap, a duplicate or a bad name."""
    files = [file for file in resources.files(package).iterdir() if file.name.endswith(".sql")]
    migrations = []
    for file in sorted(files, key=lambda file: file.name):
        match = _FILENAME.match(file.name)
        if match is None:
            raise ValueError(f"{package}/{file.name}: a migration is named NNNN_what_it_does.sql")
        migrations.append(Migration(int(match[1]), file.name.removesuffix(".sql"), file.read_text("utf-8")))
    numbers = [migration.number for migration in migrations]
    if numbers != list(range(1, len(numbers) + 1)):
        raise ValueError(f"{package}: migrations must be numbered 0001, 0002, … without gaps; found {numbers}")
    return migrations


@asynccontextmanager
async def schema_lock(pool: Pool, timeout: float = 30.0) -> AsyncIterator[None]:
    """Holds the right to change the schema; at most `timeout` seconds are spent waiting for it.

    The lock belongs to a transaction, so it works behind a transaction-mode pooler and goes when the
    process does. Waiting is done by trying: a blocked lock call holds a snapshot, and `CREATE INDEX
    CONCURRENTLY` in the process that has the lock would wait for that for ever.
    """
    deadline = asyncio.get_running_loop().time() + timeout
    while True:
        async with transaction(pool) as conn:
            row = await (await conn.execute(_TRY_SCHEMA_LOCK)).fetchone()
            if row is not None and row["held"]:
                await conn.execute(_WAIT_FOR_EVER)
                yield
                return
        if asyncio.get_running_loop().time() > deadline:
            raise SchemaLockTimeout(f"another process has been changing the schema for {timeout:.0f} seconds")
        await asyncio.sleep(0.1)


async def migrate(pool: Pool, package: str, table: str) -> list[str]:
    """Applies the migrations of `package` that `table` does not list yet; the caller holds `schema_lock`.

    Each runs in a transaction of its own together with its entry in `table`. Returns the names applied.
    Raises `SchemaTooNew` when the database knows a migration that this release does not.
    """
    known = load_migrations(package)
    applied = []
    async with connection(pool) as conn:
        await conn.execute(
            f"CREATE TABLE IF NOT EXISTS {table} (number int PRIMARY KEY, name text NOT NULL,"
            " applied_at timestamptz NOT NULL DEFAULT now())"
        )
        done = await _applied(conn, table, known)
        for migration in known:
            if migration.number in done:
                continue
            async with conn.transaction():
                await conn.execute("SET LOCAL statement_timeout = 0")
                await conn.execute(migration.sql)
                await conn.execute(
                    f"INSERT INTO {table} (number, name) VALUES (%s, %s)",  # noqa: S608 - a name of ours
                    (migration.number, migration.name),
                )
            applied.append(migration.name)
    return applied


@asynccontextmanager
async def unhurried(pool: Pool) -> AsyncIterator[Connection]:
    """A connection whose statements may take as long as they need, though they are in no transaction of ours.

    Behind a pooler it is one like any other: nobody knows on which of the server's connections a setting stays.
    """
    async with connection(pool) as conn:
        if await is_pooled(conn):
            yield conn
            return
        await conn.execute("SET statement_timeout = 0")
        try:
            yield conn
        finally:
            if not conn.broken:
                await conn.execute("RESET statement_timeout")


async def check_schema(pool: Pool, package: str, table: str, place: str, remedy: str) -> None:
    """Changes nothing. Raises `SchemaNotReady` for a database that `migrate` would change, and `SchemaTooNew`.

    `place` is the database, and `remedy` what makes it ready, in words.
    """
    known = load_migrations(package)
    async with connection(pool) as conn:
        row = await (await conn.execute("SELECT to_regclass(%s) IS NOT NULL AS there", (table,))).fetchone()
        assert row is not None
        if not row["there"]:
            raise SchemaNotReady(f"looked in {place}, where nothing of this program is: {remedy}")
        done = await _applied(conn, table, known)
    if missing := {migration.number for migration in known} - done:
        raise SchemaNotReady(f"looked in {place}, whose schema lacks migration {min(missing)}: {remedy}")


async def _applied(conn: Connection, table: str, known: Sequence[Migration]) -> set[int]:
    rows = await (await conn.execute(f"SELECT number FROM {table}")).fetchall()  # noqa: S608 - a name of ours
    done = {row["number"] for row in rows}
    if unknown := done - {migration.number for migration in known}:
        raise SchemaTooNew(
            f"the database has migration {max(unknown)} in {table}; this release ends at {len(known)}"
        )
    return done
