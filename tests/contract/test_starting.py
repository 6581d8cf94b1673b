"""Whatever a database or a signal does to a start: it works, or ends as it should, and leaves nothing behind."""

import asyncio
import re
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from groundwork.postgres.pool import Pool, open_pool
from registry.database import prepare_database
from tests.agents import running_agent, write_project
from tests.processes import environment
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


@pytest.mark.parametrize(
    ("module", "variable", "dsn", "said"),
    [
        (
            "agent_runtime",
            "POSTGRES_DSN",
            "postgresql://bob:pw@h/d?pgbouncer=true",
            "there is no parameter 'pgbouncer'",
        ),
        ("registry", "DATABASE_URL", "postgresql://bob:pw@h/d?schema=x", "options=-csearch_path%3D"),
        ("agent_runtime", "POSTGRES_DSN", "postgresql://bob:p@ss-word@h/d", "written %40"),
        ("registry", "DATABASE_URL", "postgresql://bob:p/ss-word@h/d", "written %40, %2F"),
        ("agent_runtime", "POSTGRES_DSN", "postgresql://bob:pw@nowhere.invalid/d", "nowhere.invalid"),
        ("registry", "DATABASE_URL", "SERVER/absent", "absent"),
        ("agent_runtime", "POSTGRES_DSN", "READER", "permission denied for schema public"),
        ("registry", "DATABASE_URL", "READER", "permission denied for schema public"),
    ],
)
def test_a_database_that_cannot_be_used_is_one_line_without_the_user(
    module: str, variable: str, dsn: str, said: str, reader: str, server_dsn: str, tmp_path: Path
) -> None:
    given = {"READER": reader, "SERVER/absent": make_conninfo(server_dsn, dbname="absent")}.get(dsn, dsn)
    done = start(write_project(tmp_path), module, "migrate", **{variable: given})
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1), done.stderr
    assert said in done.stderr
    for hidden in ("bob", "ss-word", "reader"):
        assert hidden not in done.stderr


@pytest.fixture
def reader(server_dsn: str, empty_database_url: str) -> Iterator[str]:
    """The DSN of a role that may look at an empty database, and make nothing in it."""
    name = f"reader_{secrets.token_hex(4)}"
    with psycopg.connect(server_dsn, autocommit=True) as conn:
        conn.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'pw'".encode())
        yield make_conninfo(empty_database_url, user=name, password="pw")
        conn.execute(f"DROP ROLE {name}".encode())


@pytest.mark.parametrize(
    ("module", "content"),
    [
        ("agent_runtime", "AGENT_ID=x\n".encode("utf-16")),
        ("registry", b"NAME=caf\xe9\n"),
        ("agent_runtime", b"NAME=a\x00b\n"),
    ],
)
def test_an_env_file_that_is_no_text_is_one_line(module: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(content)
    done = start(tmp_path, module, "serve")
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(r"[a-z-]+: \.env: .*\n", done.stderr), done.stderr


@pytest.mark.parametrize(
    ("command", "moments"),
    [
        (("agent_runtime", "serve"), (0.6, 1.2, 1.8, 2.6)),
        (("registry", "serve"), (0.8, 1.6)),
        (("registry", "worker"), (0.8, 1.6)),
    ],
)
def test_a_signal_at_any_moment_of_a_start_ends_it_and_leaves_nothing(
    command: tuple[str, str], moments: tuple[float, ...], data_directory: Path
) -> None:
    project = write_project(data_directory / "project")
    for number, seconds in enumerate(moments):
        process = subprocess.Popen(
            [sys.executable, "-m", *command],
            cwd=project,
            env=environment(port=0, jamjet_port=0),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        until_python_has_begun(process.pid)
        time.sleep(seconds)
        process.send_signal((signal.SIGTERM, signal.SIGINT)[number % 2])
        said, _ = process.communicate(timeout=60)
        assert process.returncode == 0, said.decode()
        assert b"Traceback" not in said
        assert not list(project.glob(".*/postgres/postmaster.pid"))


def until_python_has_begun(pid: int) -> None:
    """Return once the process has taken SIGTERM for its own to handle, which is the first that it does."""
    deadline = time.monotonic() + 60
    mask = 1 << (signal.SIGTERM - 1)
    while time.monotonic() < deadline:
        [caught] = re.findall(r"^SigCgt:\s+(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
        if int(caught, 16) & mask:
            return
        time.sleep(0.01)


def start(directory: Path, module: str, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=directory,
        env=environment(**settings),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


async def test_agents_and_a_registry_share_a_database_with_a_schema_each(
    empty_database_url: str, tmp_path: Path
) -> None:
    with psycopg.connect(empty_database_url, autocommit=True) as conn:
        for schema in SCHEMAS:
            conn.execute(f"CREATE SCHEMA {schema}".encode())
    in_schema = {name: make_conninfo(empty_database_url, options=f"-csearch_path={name}") for name in SCHEMAS}
    project = write_project(tmp_path / "project")
    async with (
        open_pool(in_schema["central"], name="prepare", max_size=2) as pool,
        running_agent(project, in_schema["red"], "red", migrate=True) as red,
        running_agent(project, in_schema["blue"], "blue", migrate=True) as blue,
    ):
        await prepare_database(pool)
        async with running_registry(in_schema["central"], worker=True) as registry:
            assert (await registry.http.get("/audit")).status_code == 200
        assert await red.ask("My name is Ada.", "session-1")
        assert await blue.ask("My name is Bob.", "session-1")
        assert [len(await agent.messages("session-1")) for agent in (red, blue)] == [2, 2]
    with psycopg.connect(empty_database_url, autocommit=True) as conn:
        assert conn.execute("SELECT FROM pg_class WHERE relnamespace = 'public'::regnamespace").fetchall() == []


SCHEMAS = ("red", "blue", "central")


async def settings_of(pool: Pool) -> tuple[str, ...]:
    names = ("transaction_isolation", "transaction_read_only", "TimeZone", "DateStyle", "client_encoding")
    async with pool.connection() as conn:
        query = "SELECT " + ", ".join(f"current_setting('{name}') AS \"{name}\"" for name in names)
        row = await (await conn.execute(query.encode())).fetchone()
    assert row is not None
    return tuple(row.values())
