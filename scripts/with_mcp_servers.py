"""Runs a command with TEST_MCP_SERVERS naming a directory with MCP servers of others, from PyPI and from npm.

    python scripts/with_mcp_servers.py python -m pytest ...

They go into `.venv-mcp`, in the versions that tests/strangers/mcp_servers names. Without a command, only makes it.
Exit status 1 where they cannot be installed: without npm, or without a network.
"""

import os
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WANTED = ROOT / "tests" / "strangers" / "mcp_servers"
PYTHON_WANTED, NODE_WANTED = WANTED / "requirements.txt", WANTED / "package.json"
ENVIRONMENT = ROOT / ".venv-mcp"


def main(command: list[str]) -> int:
    try:
        make_environment()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"the MCP servers cannot be installed here: {error}", file=sys.stderr)
        return 1
    if not command:
        return 0
    environment = {**os.environ, "TEST_MCP_SERVERS": str(ENVIRONMENT)}
    return subprocess.run(command, env=environment, check=False).returncode


def make_environment() -> None:
    """Quick when there is nothing to do; the stamp is written last and says what was installed."""
    stamp = ENVIRONMENT / "environment.stamp"
    wanted = sha256(PYTHON_WANTED.read_bytes() + NODE_WANTED.read_bytes()).hexdigest()
    key = f"{sys.executable} {wanted} {ROOT}"
    if stamp.exists() and stamp.read_text("utf-8") == key:
        return
    if (npm := shutil.which("npm")) is None:
        raise FileNotFoundError("there is no npm")
    print(f"Installing the MCP servers of {WANTED.relative_to(ROOT)} into {ENVIRONMENT.name}", flush=True)
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", ENVIRONMENT], check=True)
    pip = [str(ENVIRONMENT / "bin" / "python"), "-m", "pip", "--no-input", "--disable-pip-version-check"]
    # PIP_USER of a personal pip configuration makes no sense in an environment.
    environment = {**os.environ, "PIP_USER": "0"}
    subprocess.run([*pip, "install", "--quiet", "--quiet", "-r", PYTHON_WANTED], env=environment, check=True)
    shutil.copy(NODE_WANTED, ENVIRONMENT)
    options = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--silent"]
    subprocess.run([npm, "install", *options], cwd=ENVIRONMENT, check=True)
    stamp.write_text(key, "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
