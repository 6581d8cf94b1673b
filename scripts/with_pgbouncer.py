"""Runs a command with TEST_POSTGRES_DSN leading through PgBouncer in transaction mode.

    python scripts/with_pgbouncer.py python -m pytest ...

PostgreSQL itself is the server that TEST_POSTGRES_DSN names already, else an embedded one for the occasion.
PgBouncer keeps no prepared statements here, and each transaction may find itself on another connection, so
whatever depends on the state of a session fails.
"""

import asyncio
import os
import pwd
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from groundwork.postgres.embedded import open_throwaway  # noqa: E402  # found through the line above

PORT = 6432  # names the socket file, and nothing else

CONFIGURATION = """\
[databases]
* = {server}

[pgbouncer]
pool_mode = transaction
auth_type = any
unix_socket_dir = {directory}
listen_port = {port}
max_client_conn = 2000
default_pool_size = 20
logfile = {directory}/log
pidfile = {directory}/pid
log_connections = 0
log_disconnections = 0
"""


async def main(command: list[str]) -> int:
    program = find_pgbouncer()
    async with open_server() as server_dsn:
        with pgbouncer(program, server_dsn) as dsn:
            process = await asyncio.create_subprocess_exec(*command, env={**os.environ, "TEST_POSTGRES_DSN": dsn})
            return await process.wait()


def find_pgbouncer() -> str:
    # Debian installs it where only root looks.
    program = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if program is None:
        raise SystemExit("pgbouncer is not installed: apt install pgbouncer, or brew install pgbouncer")
    return program


@asynccontextmanager
async def open_server() -> AsyncIterator[str]:
    if given := os.environ.get("TEST_POSTGRES_DSN"):
        yield given
        return
    async with open_throwaway() as dsn:
        if os.geteuid() == 0:
            # PgBouncer runs as another user, who has to get to the socket in this directory made for the occasion.
            Path(str(conninfo_to_dict(dsn)["host"])).parent.chmod(0o711)
        yield dsn


@contextmanager
def pgbouncer(program: str, server_dsn: str) -> Iterator[str]:
    """Yields a DSN that leads to the server through a PgBouncer, which ends with the block."""
    server = conninfo_to_dict(server_dsn)
    user = run_as(str(server.get("host", "")))
    with tempfile.TemporaryDirectory(prefix="pgbouncer-") as name:
        directory = Path(name)
        configuration = directory / "pgbouncer.ini"
        configuration.write_text(build_configuration(server, directory, pooler_version(program)), "utf-8")
        if user:
            for path in (directory, configuration):
                shutil.chown(path, user)
        process = subprocess.Popen(
            [program, "--quiet", *(["--user", user] if user else []), str(configuration)],
            stdin=subprocess.DEVNULL,
        )
        try:
            dsn = make_conninfo(
                host=name, port=PORT, user="postgres", dbname=str(server.get("dbname", "postgres"))
            )
            wait_until_it_answers(process, dsn, directory / "log")
            yield dsn
            if process.poll() is not None:
                raise SystemExit(f"PgBouncer did not live to see the end:\n{last_lines(directory / 'log')}")
        finally:
            process.terminate()
            process.wait()


def run_as(host: str) -> str | None:
    """PgBouncer refuses to run as root. It then becomes whoever may open the server's socket."""
    if os.geteuid() != 0:
        return None
    return pwd.getpwuid(Path(host).stat().st_uid).pw_name if host.startswith("/") else "nobody"


def pooler_version(program: str) -> tuple[int, ...]:
    said = subprocess.run([program, "--version"], check=True, capture_output=True, text=True).stdout
    found = re.search(r"(\d+)\.(\d+)", said)
    if found is None:
        raise SystemExit(f"{program} does not say which version it is: {said}")
    return tuple(int(part) for part in found.groups())


def build_configuration(server: Mapping[str, object], directory: Path, version: tuple[int, ...]) -> str:
    # auth_type=any lets everybody in as one user; the database is the one each client asks for.
    wanted = {key: server[key] for key in ("host", "port", "user", "password") if key in server}
    text = CONFIGURATION.format(
        server=" ".join(f"{key}='{value}'" for key, value in wanted.items()), directory=directory, port=PORT
    )
    # Unknown before 1.21, and on by default since 1.24.
    return text + ("max_prepared_statements = 0\n" if version >= (1, 21) else "")


def wait_until_it_answers(process: subprocess.Popen[bytes], dsn: str, log: Path) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            with psycopg.connect(dsn, connect_timeout=5) as conn:
                conn.execute("SELECT 1")
            return
        except psycopg.OperationalError as error:
            if process.poll() is not None or time.monotonic() > deadline:
                raise SystemExit(f"PgBouncer does not answer: {error}\n{last_lines(log)}") from None
            time.sleep(0.05)


def last_lines(log: Path) -> str:
    return "\n".join(log.read_text("utf-8", "replace").splitlines()[-10:]) if log.exists() else ""


if __name__ == "__main__":
    sys.exit(asyncio.run(main(sys.argv[1:])))
