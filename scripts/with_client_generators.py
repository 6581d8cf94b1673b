"""Runs a command with CLIENT_GENERATORS naming a directory with generators of clients for Python and TypeScript.

    python scripts/with_client_generators.py python -m pytest ...

openapi-python-client wants an older typer than the software itself is tested with, so it goes into an environment
of its own, from requirements-clients.lock; what TypeScript needs comes from npm. Without a command, prints which
npm that would be. Exit status 1 where there is none.
"""

import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements-clients.lock"
ENVIRONMENT = ROOT / ".venv-clients"
PACKAGES = ["openapi-typescript@7.13.0", "openapi-fetch@0.17.0", "typescript@5.9.3", "@types/node@20"]


def main(command: list[str]) -> int:
    npm = shutil.which("npm")
    if npm is None or not can_run(npm):
        print("no npm was found here", file=sys.stderr)
        return 1
    if not command:
        print(npm)
        return 0
    make_environment(npm)
    environment = {**os.environ, "CLIENT_GENERATORS": str(ENVIRONMENT)}
    return subprocess.run(command, env=environment, check=False).returncode


def can_run(npm: str) -> bool:
    return subprocess.run([npm, "--version"], check=False, capture_output=True).returncode == 0


def make_environment(npm: str) -> None:
    """Quick when there is nothing to do; the stamp is written last and says what was installed."""
    stamp = ENVIRONMENT / "environment.stamp"
    key = f"{sys.version} {sha256(LOCK.read_bytes()).hexdigest()} {PACKAGES} {ROOT}"
    if stamp.exists() and stamp.read_text("utf-8") == key:
        return
    print(f"Installing generators of clients into {ENVIRONMENT.name}", flush=True)
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
    pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "--no-input", "--disable-pip-version-check"]
    # PIP_USER of a personal pip configuration makes no sense in an environment.
    environment = {**os.environ, "PIP_USER": "0"}
    subprocess.run(
        [*pip, "install", "--quiet", "--require-hashes", "--no-deps", "-r", LOCK], env=environment, check=True
    )
    options = ["--no-save", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(ENVIRONMENT)]
    subprocess.run([npm, "install", *options, *PACKAGES], check=True)
    stamp.write_text(key, "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
