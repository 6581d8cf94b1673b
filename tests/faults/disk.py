"""A file system that somebody has to himself, and that can be filled."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

_MEGABYTES = 3_000
"""In memory, as far as it is used. PostgreSQL alone keeps up to a gigabyte of log."""


@dataclass(frozen=True)
class Disk:
    directory: Path

    def fill(self) -> None:
        """Leaves next to nothing free, as somebody's forgotten log does."""
        free = os.statvfs(self.directory)
        # Others may be quicker: then it is full as well.
        with self._forgotten.open("wb") as file, suppress(OSError):
            os.posix_fallocate(file.fileno(), 0, free.f_bavail * free.f_bsize)

    def tidy(self) -> None:
        self._forgotten.unlink(missing_ok=True)

    @property
    def _forgotten(self) -> Path:
        return self.directory / "forgotten"


@contextmanager
def small_disk(directory: Path) -> Iterator[Disk | None]:
    """Mounts one in that place while the block runs; `None` where only root may, and this is not root."""
    directory.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={_MEGABYTES}m,mode=0755", "tmpfs", str(directory)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        yield None
        return
    try:
        yield Disk(directory)
    finally:
        with suppress(OSError):
            shutil.copy(directory / "log", directory.with_name("postgres.log"))
        subprocess.run(["umount", str(directory)], check=True)
