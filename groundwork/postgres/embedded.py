"""The PostgreSQL that comes in a wheel, for everybody who has not set a DSN.

It is a real server on a unix socket that only its owner (and root) may open; nothing listens on TCP.
`max_connections` is PostgreSQL's default, 100, shared by all processes that use the directory: ten
processes with a pool of ten each is the most it carries.
"""

import asyncio
import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import TypeVar

from groundwork.postgres.cluster import EmbeddedPostgresFailed, start_server, stop_server

__all__ = ["EmbeddedPostgresFailed", "open_embedded", "open_throwaway"]

logger = logging.getLogger(__name__)

_Result = TypeVar("_Result")

_PATIENCE_SECONDS = 60.0
_THROWAWAY_PREFIX = "agent-throwaway-"


@asynccontextmanager
async def open_embedded(directory: Path, *, remedy: str | None = None) -> AsyncIterator[str]:
    """Yields the DSN of a PostgreSQL whose data is under `directory`, which is made when it is not there; unless
    there is a `remedy`, which says what makes it.

    Any number of processes may share the directory: the first one in starts the server, the last one out
    stops it, and one that was killed counts as out. A server left running by a killed process is used as
    it is. Raises `EmbeddedPostgresFailed`.
    """
    if remedy is not None:
        _check_is_there(directory, remedy)
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
        await _in_thread(lambda: _remove(parent))


def _check_is_there(directory: Path, remedy: str) -> None:
    directory = directory.expanduser().resolve()
    if not (directory / "PG_VERSION").exists():
        raise EmbeddedPostgresFailed(f"looked in {directory}, where no data is: {remedy}")


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
        postmaster = await _in_thread(lambda: start_server(directory, stake.move_to, durable=durable))
        # Another process may come in between; it finds the server running, and goes on.
        await _until(lambda: stake.take(fcntl.LOCK_SH) or None)
        yield postmaster.dsn
    finally:
        try:
            if stake.take(fcntl.LOCK_EX) and stake.is_current():
                await _in_thread(lambda: stop_server(directory))
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


def _remove(directory: Path) -> None:
    """Removes a directory that another process may be removing as well, taking it for abandoned."""
    while directory.exists():
        with suppress(FileNotFoundError):
            shutil.rmtree(directory)


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
                    stop_server(directory)
                finally:
                    stake.close()
            _remove(parent)
