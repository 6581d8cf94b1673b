"""Runs a command with LANGGRAPH_JS naming a directory with LangGraph's clients for JavaScript, from npm.

    python scripts/with_langgraph_js.py python -m pytest ...

They go into `.venv-js`, in the versions of tests/javascript/package.json. Without a command, only makes it.
Exit status 1 where they cannot be installed: without node and npm, or without a network.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
WANTED = ROOT / "tests" / "javascript" / "package.json"
ENVIRONMENT = ROOT / ".venv-js"


def main(command: list[str]) -> int:
    try:
        make_environment()
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"LangGraph's clients for JavaScript cannot be installed here: {error}", file=sys.stderr)
        return 1
    if not command:
        return 0
    environment = {**os.environ, "LANGGRAPH_JS": str(ENVIRONMENT)}
    return subprocess.run(command, env=environment, check=False).returncode


def make_environment() -> None:
    """Quick when there is nothing to do; the stamp is written last and says what was installed."""
    stamp = ENVIRONMENT / "environment.stamp"
    key = f"{WANTED.read_text('utf-8')} {ROOT}"
    if stamp.exists() and stamp.read_text("utf-8") == key:
        return
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise FileNotFoundError("there is no node with npm")
    print(f"Installing LangGraph's clients for JavaScript into {ENVIRONMENT.name}", flush=True)
    shutil.rmtree(ENVIRONMENT, ignore_errors=True)
    ENVIRONMENT.mkdir()
    shutil.copy(WANTED, ENVIRONMENT)
    options = ["--no-package-lock", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"]
    subprocess.run([npm, "install", *options], cwd=ENVIRONMENT, check=True)
    stamp.write_text(key, "utf-8")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
