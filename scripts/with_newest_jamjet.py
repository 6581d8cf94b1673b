"""Runs a command with TEST_JAMJET naming an environment with the newest of JamJet's own clients.

    python scripts/with_newest_jamjet.py python -m pytest ...

The development environment has the last client that every supported Python can install. The newest one needs
Python 3.12 and a good deal more: it goes into `.venv-jamjet`, from requirements-jamjet.lock. Without a command,
prints which Python that would be made with. Exit status 1 where there is none.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements-jamjet.lock"
ENVIRONMENT = ROOT / ".venv-jamjet"

# Tried by running it, because a command of that name may be a shim with nothing behind it.
FITS = "import ensurepip, sys, venv; sys.exit(not (3, 12) <= sys.version_info < (3, 14))"


def main(command: list[str]) -> int:
    python = next(filter(fits, candidates()), None)
    if python is None:
        print("no Python 3.12 or 3.13 that can make virtual environments was found here", file=sys.stderr)
        return 1
    if not command:
        print(python)
        return 0
    make_environment(python)
    return subprocess.run(command, env={**os.environ, "TEST_JAMJET": str(ENVIRONMENT)}, check=False).returncode


def candidates() -> Iterator[str]:
    """This one, then those on the path, then those that pyenv has installed."""
    yield sys.executable
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for name in ("python3.13", "python3.12"):
        if found := shutil.which(name):
            yield found
        yield from map(str, sorted(pyenv.glob(f"versions/*/bin/{name}")))


def fits(python: str) -> bool:
    return subprocess.run([python, "-c", FITS], check=False, capture_output=True).returncode == 0


def make_environment(python: str) -> None:
    """Quick when there is nothing to do; the stamp is written last and says what was installed."""
    stamp = ENVIRONMENT / "environment.stamp"
    key = f"{python} {sha256(LOCK.read_bytes()).hexdigest()} {ROOT}"
    if stamp.exists() and stamp.read_text("utf-8") == key:
        return
    print(f"Installing the packages of {LOCK.name} into {ENVIRONMENT.name}, with {python}", flush=True)
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    subprocess.run([python, "-m", "venv", ENVIRONMENT], check=True)
    pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "--no-input", "--disable-pip-version-check"]
    # PIP_USER of a personal pip configuration makes no sense in an environment.
    environment = {**os.environ, "PIP_USER": "0"}
    subprocess.run(
        [*pip, "install", "--quiet", "--require-hashes", "--no-deps", "-r", LOCK], env=environment, check=True
    )
    stamp.write_text(key, "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
