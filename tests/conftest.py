"""A real PostgreSQL for every test: one server per session, a fresh copy of a migrated database per test."""

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import psutil
import pytest
from psycopg.conninfo import make_conninfo

from agent_runtime.database import prepare_database
from groundwork.postgres.embedded import open_throwaway
from groundwork.postgres.pool import Pool, open_pool
from tests.databases import ReusedDatabase, create_database, drop_database, migrated_template
from tests.forked import close_forks

_MARK = "STARTED_BY_TESTS"

_OUR_SETTINGS = (
    *("AGENT_", "ADMIN_", "A2A_", "MEMORY_", "POSTGRES_", "REGISTRY_", "MODEL"),
    *("JAMJET_", "DATABASE_URL", "LOG_LEVEL", "LOG_FORMAT", "RUST_LOG", "DENY_PRIVATE_NETWORKS"),
)


@pytest.fixture(scope="session", autouse=True)
def nothing_is_left_running() -> Iterator[None]:
    """Fails at the end when a process still runs that a test has started, by whichever way it got loose."""
    os.environ[_MARK] = mark = secrets.token_hex(8)
    yield
    close_forks()
    _, left = psutil.wait_procs(processes_with(_MARK, mark), timeout=10)
    assert not left, f"left running: {[process.cmdline() for process in left]}"


@pytest.fixture(scope="session")
def server_dsn() -> Iterator[str]:
    """A PostgreSQL server: the one named by `TEST_POSTGRES_DSN`, else an embedded one for this session."""
    if given := os.environ.get("TEST_POSTGRES_DSN"):
        yield given
        return
    with asyncio.Runner() as runner:
        opened = AsyncExitStack()
        try:
            yield runner.run(opened.enter_async_context(open_throwaway()))
        finally:
            runner.run(opened.aclose())


@pytest.fixture(scope="session")
def template_database(server_dsn: str) -> Iterator[str]:
    """The name of a database with the agent's schema and nothing in it."""
    with migrated_template(server_dsn, prepare_database) as name:
        yield name


@pytest.fixture(scope="session")
def reused_database(server_dsn: str, template_database: str) -> Iterator[ReusedDatabase]:
    reused = ReusedDatabase(server_dsn, template_database)
    yield reused
    reused.drop()


@pytest.fixture
def database_url(reused_database: ReusedDatabase) -> str:
    """The DSN of a database of this test's own, migrated and empty."""
    return reused_database.emptied()


@pytest.fixture
def empty_database_url(server_dsn: str) -> Iterator[str]:
    """The DSN of a database of this test's own, without any table."""
    name = create_database(server_dsn)
    yield make_conninfo(server_dsn, dbname=name)
    drop_database(server_dsn, name)


@pytest.fixture
async def pool(database_url: str) -> AsyncIterator[Pool]:
    async with open_pool(database_url, name="test", max_size=10) as pool:
        yield pool


@pytest.fixture
def data_directory() -> Iterator[Path]:
    """A place for the data of an embedded server. Not below `tmp_path`: as root the server runs as a user of its
    own, and every pytest that starts closes the directories of the ones before to other users."""
    directory = Path(tempfile.mkdtemp(prefix="sidecar-data-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting of the developer's shell or `.env` reaches a test; each runs in a directory of its own."""
    for name in list(os.environ):
        if name.startswith(_OUR_SETTINGS):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def processes_with(name: str, value: str) -> list[psutil.Process]:
    """The processes with this in their environment, as far as this user may see it; without this process."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):  # it has ended meanwhile, or is somebody else's
            if process.pid != os.getpid() and process.environ().get(name) == value:
                found.append(process)
    return found
