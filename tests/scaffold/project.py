"""Running `scaffold` as a user would."""

import os
import subprocess
import sys
from pathlib import Path

import scaffold

REPOSITORY = Path(scaffold.__file__).parents[1]
COMMAND = [sys.executable, "-m", "scaffold.cli", "new-agent"]


def environment() -> dict[str, str]:
    """The environment of a user who has installed the distribution."""
    paths = [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths)), "TERM": "dumb", "COLUMNS": "80"}


def new_agent(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
