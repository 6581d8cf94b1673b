"""A PostgreSQL server that may be stopped, killed and cut off, because nobody else has it."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import DictRow, dict_row

from groundwork.postgres.cluster import EmbeddedPostgresFailed, start_server, stop_server

DATABASES = ("agents", "registry")

_OTHERS = "pid <> pg_backend_pid() AND backend_type = 'client backend'"


@dataclass
class Postgres:
    """Listens on a unix socket in its directory."""

    directory: Path
    in_use: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever does something to it."""

    @property
    def socket(self) -> Path:
        return self.directory / ".s.PGSQL.5432"

    async def start(self) -> None:
        """Makes the cluster, too, when it is not there."""
        self.directory.mkdir(exist_ok=True)
        # What a process has handed to the kernel outlives the process, so durability would only cost time.
        await asyncio.to_thread(start_server, self.directory, self._move_here, durable=False)

    def _move_here(self, staging: Path) -> None:
        staging.rename(self.directory)

    async def recover(self) -> None:
        """Returns when it can be used again; it is started if it has given up."""
        while True:
            with suppress(psycopg.OperationalError):
                await self.ask("postgres", "SELECT 1")
                return
            with suppress(EmbeddedPostgresFailed):
                await self.start()
            await asyncio.sleep(0.2)

    async def stop(self) -> None:
        await asyncio.to_thread(stop_server, self.directory)

    def kill(self) -> None:
        """With all that belongs to it, as when the machine is taken away."""
        postmaster = psutil.Process(int((self.directory / "postmaster.pid").read_text().split()[0]))
        family = [postmaster, *postmaster.children(recursive=True)]
        for process in family:
            process.kill()
        psutil.wait_procs(family, timeout=20)

    async def crash(self) -> None:
        """One of its processes is killed; the server then ends all of them and recovers."""
        async with self.connect("postgres") as conn:
            os.kill(conn.info.backend_pid, signal.SIGKILL)

    @asynccontextmanager
    async def connect(self, database: str) -> AsyncIterator[psycopg.AsyncConnection[DictRow]]:
        """Past every proxy."""
        dsn = make_conninfo(f"postgresql://postgres@/{database}", host=str(self.directory), port=5432)
        connecting = psycopg.AsyncConnection.connect(
            dsn, autocommit=True, row_factory=dict_row, connect_timeout=10
        )
        async with await connecting as conn:
            yield conn

    async def ask(self, database: str, statement: str, **given: Any) -> list[DictRow]:
        async with self.connect(database) as conn:
            return await (await conn.execute(statement.encode(), given)).fetchall()

    async def create_databases(self) -> None:
        async with self.connect("postgres") as conn:
            for name in DATABASES:
                await conn.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))

    async def end_connections(self) -> None:
        """All but this one."""
        async with self.connect("postgres") as conn:
            query = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE {_OTHERS}"
            await conn.execute(query.encode())

    async def limit_statements(self, milliseconds: int) -> None:
        """For connections that are made from now on; 0 is no limit."""
        async with self.connect("postgres") as conn:
            for name in DATABASES:
                statement = sql.SQL("ALTER DATABASE {} SET statement_timeout = {}")
                await conn.execute(statement.format(sql.Identifier(name), sql.Literal(milliseconds)))

    async def lock_table(self, database: str, table: str, seconds: float) -> None:
        """Nobody else may read or write it for so long."""
        async with self.connect(database) as conn, conn.transaction():
            await conn.execute(sql.SQL("LOCK TABLE {} IN ACCESS EXCLUSIVE MODE").format(sql.Identifier(table)))
            await conn.execute("SELECT pg_sleep(%s)", [seconds])
