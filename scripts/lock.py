"""Writes the three requirements*.lock and scaffold/templates/constraints.txt from pyproject.toml.

One lock serves every supported Python and platform: it is resolved for all of them at once, carries the hashes
of every file of a version, and names no package index. The newest JamJet client and the generator of clients
have locks of their own. Versions that are locked already stay as they are; `--upgrade` and
`--upgrade-package NAME` change that.
"""

import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
JAMJET_LOCK = ROOT / "requirements-jamjet.lock"
CLIENTS_LOCK = ROOT / "requirements-clients.lock"
CONSTRAINTS = ROOT / "scaffold" / "templates" / "constraints.txt"

PROJECT = ["pyproject.toml", "--all-extras", "--python-version", "3.11"]
NEWEST_JAMJET = ["--group", "jamjet", "--python-version", "3.12"]
CLIENTS = ["--group", "clients", "--python-version", "3.11"]
RESOLVE = ["--universal", "--no-annotate", "--no-header", "--quiet"]
NO_ADDRESSES = ["--no-emit-index-url", "--no-emit-find-links"]

LOCK_HEADER = """\
# Every package of this repository at the version it was tested with, development tools included.
# Made by `make lock` from pyproject.toml; do not edit.
"""
JAMJET_LOCK_HEADER = """\
# The newest of JamJet's own clients, which the registry is also tested with.
# Made by `make lock` from pyproject.toml; do not edit.
"""
CLIENTS_LOCK_HEADER = """\
# What makes a Python client of an OpenAPI document, for a test.
# Made by `make lock` from pyproject.toml; do not edit.
"""
CONSTRAINTS_HEADER = """\
# The versions that this agent was tested with: pip install -c constraints.txt ...
"""


def main(arguments: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        uv = install_uv(Path(directory))
        hashed = ["--generate-hashes", *arguments]
        compile_requirements(uv, LOCK, LOCK_HEADER, [*PROJECT, "--group", "dev", *hashed])
        compile_requirements(uv, JAMJET_LOCK, JAMJET_LOCK_HEADER, [*NEWEST_JAMJET, *hashed])
        compile_requirements(uv, CLIENTS_LOCK, CLIENTS_LOCK_HEADER, [*CLIENTS, *hashed])
        CONSTRAINTS.parent.mkdir(parents=True, exist_ok=True)
        CONSTRAINTS.unlink(missing_ok=True)
        compile_requirements(uv, CONSTRAINTS, CONSTRAINTS_HEADER, [*PROJECT, "--constraints", str(LOCK)])


def install_uv(directory: Path) -> Path:
    """The resolver, in an environment of its own: nobody who only runs the software needs it."""
    venv.create(directory, with_pip=True)
    subprocess.run([directory / "bin" / "python", "-m", "pip", "install", "--quiet", "uv>=0.9"], check=True)
    return directory / "bin" / "uv"


def compile_requirements(uv: Path, output: Path, header: str, arguments: list[str]) -> None:
    """Resolves what the arguments name into `output`. Raises `SystemExit` when an address got into it."""
    subprocess.run(
        [uv, "pip", "compile", *RESOLVE, *NO_ADDRESSES, *arguments, "--output-file", output],
        cwd=ROOT,
        check=True,
        stdout=subprocess.DEVNULL,
    )
    text = output.read_text("utf-8")
    if address := re.search(r"^.*(://|--(index|extra|find)|@ ).*$", text, re.MULTILINE):
        raise SystemExit(f"{output.name} must not name an address, but says: {address[0]}")
    output.write_text(header + text, "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
