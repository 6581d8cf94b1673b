"""Databases for tests: each test finds its own empty, and most find the one before's, emptied.

Copying a database takes a quarter of a second, emptying one over a connection that is used to it much less.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from groundwork.postgres.pool import Pool, open_pool

# What a database looks like, its rows apart: a test that has changed it is given a new one.
_SHAPE = """
SELECT md5(string_agg(thing, ',' ORDER BY thing)) FROM (
    SELECT 'relation ' || oid || relname FROM pg_class WHERE relnamespace = 'public'::regnamespace
     UNION ALL
    SELECT 'column ' || attrelid || attname || attnum || atttypid
      FROM pg_attribute JOIN pg_class c ON c.oid = attrelid
     WHERE c.relnamespace = 'public'::regnamespace AND attnum > 0
     UNION ALL
    SELECT 'trigger ' || tgrelid || tgname || tgenabled::text FROM pg_trigger
     UNION ALL
    SELECT 'function ' || proname || md5(prosrc) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
) AS things (thing)
"""

_OTHERS = """
SELECT pid, pg_terminate_backend(pid) FROM pg_stat_activity
 WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""

# The rows that a new database has are kept in a schema of their own.
_KEEP_SEEDS = """
CREATE SCHEMA seeds;
DO $$ DECLARE name text; found boolean; BEGIN
    FOR name IN SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', name) INTO found;
        IF found THEN EXECUTE format('CREATE TABLE seeds.%1$I AS TABLE public.%1$I', name); END IF;
    END LOOP;
END $$
"""

_EMPTY = """
DO $$ DECLARE name text; found boolean; BEGIN
    SET LOCAL session_replication_role = replica;
    FOR name IN SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I)', name) INTO found;
        IF found THEN EXECUTE format('DELETE FROM public.%I', name); END IF;
    END LOOP;
    FOR name IN SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'seeds'::regnamespace LOOP
        EXECUTE format('INSERT INTO public.%1$I SELECT * FROM seeds.%1$I', name);
    END LOOP;
    FOR name IN SELECT relname FROM pg_class WHERE relkind = 'S' AND relnamespace = 'public'::regnamespace LOOP
        PERFORM setval(format('public.%I', name), 1, false);
    END LOOP;
END $$
"""


def create_database(server_dsn: str, template: str = "template1") -> str:
    name = f"test_{secrets.token_hex(6)}"
    with psycopg.connect(server_dsn, autocommit=True) as conn:
        # Quicker than what releases from 15 on do unasked; the ones before know no other way.
        how = "STRATEGY FILE_COPY" if conn.info.server_version >= 150_000 else ""
        conn.execute(f'CREATE DATABASE {name} TEMPLATE "{template}" {how}')
    return name


def drop_database(server_dsn: str, name: str) -> None:
    with psycopg.connect(server_dsn, autocommit=True) as conn:
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)")


@contextmanager
def migrated_template(server_dsn: str, prepare: Callable[[Pool], Awaitable[None]]) -> Iterator[str]:
    """The name of a database with the schema that `prepare` makes, and nothing in it."""

    async def run(dsn: str) -> None:
        async with open_pool(dsn, name="template", max_size=2) as pool:
            await prepare(pool)

    name = create_database(server_dsn)
    asyncio.run(run(make_conninfo(server_dsn, dbname=name)))
    with psycopg.connect(server_dsn) as conn:
        # A pooler in between keeps connections of its own, and a database with connections cannot be copied.
        conn.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
    yield name
    drop_database(server_dsn, name)


@dataclass
class ReusedDatabase:
    """A copy of `template`, for one test after the other."""

    server_dsn: str
    template: str
    name: str = ""
    shape: str = ""
    _kept: psycopg.Connection[tuple[object, ...]] | None = None

    def emptied(self) -> str:
        """Its DSN, once it is as it was when it was new."""
        if not self.name:
            self._make()
        conn = self._connection()
        self._end_others(conn)
        if _shape(conn) == self.shape:
            conn.execute(_EMPTY)
            return self._dsn
        self.drop()
        self._make()
        return self._dsn

    def drop(self) -> None:
        if self._kept is not None:
            self._kept.close()
        if self.name:
            drop_database(self.server_dsn, self.name)

    @property
    def _dsn(self) -> str:
        return make_conninfo(self.server_dsn, dbname=self.name)

    def _make(self) -> None:
        self.name = create_database(self.server_dsn, self.template)
        conn = self._connection()
        conn.execute(_KEEP_SEEDS)
        self.shape = _shape(conn)

    def _connection(self) -> psycopg.Connection[tuple[object, ...]]:
        """The one of the test before, unless that has ended it. Nothing is prepared: behind a pooler, the next
        connection would find it there."""
        try:
            if self._kept is not None:
                self._kept.execute("SELECT")
        except psycopg.OperationalError:
            self._kept = None
        if self._kept is None or self._kept.closed:
            self._kept = psycopg.connect(self._dsn, autocommit=True, prepare_threshold=None)
        return self._kept

    def _end_others(self, conn: psycopg.Connection[tuple[object, ...]]) -> None:
        """Whatever a test has left behind; what it had begun must not be written later."""
        while conn.execute(_OTHERS).fetchall():
            pass


def _shape(conn: psycopg.Connection[tuple[object, ...]]) -> str:
    row = conn.execute(_SHAPE).fetchone()
    assert row is not None
    return str(row[0])


async def until_somebody_waits(conn: psycopg.AsyncConnection[Any]) -> None:
    """For a lock, in the database of `conn`."""
    query = "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(5):
        while not await (await conn.execute(query)).fetchall():
            await asyncio.sleep(0.01)
