"""JamJet's own published client, unchanged: its command, and its library run by the interpreter it belongs to.

It comes from this environment, or from the one that `TEST_JAMJET` names, with another version of it.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

# A test runs in a directory of its own, where a relative path would lead elsewhere.
PROGRAMS = (Path(os.environ.get("TEST_JAMJET") or sys.prefix) / "bin").absolute()

# Reads calls as JSON, makes them one after the other, and writes what became of each.
CALLER = """
import asyncio, json, sys, httpx
from jamjet.client import JamjetClient

async def outcome(client, method, arguments):
    try:
        return {"answer": await getattr(client, method)(*arguments)}
    except httpx.HTTPStatusError as error:
        return {"answer": error.response.json(), "refused": error.response.status_code}

async def main(runtime):
    async with JamjetClient(runtime) as client:
        return [await outcome(client, *call) for call in json.load(sys.stdin)]

json.dump(asyncio.run(main(sys.argv[1])), sys.stdout)
"""


@dataclass(frozen=True)
class Refused:
    """What the library raises when the answer is no success: the status, and the body that came with it."""

    status: int
    answer: Any


async def jamjet(
    *arguments: str, runtime: str | None = None, token: str | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs the `jamjet` command to its end, in an empty directory; with `--runtime` when there is one."""
    target = ["--runtime", runtime] if runtime else []
    return await _run([str(PROGRAMS / "jamjet"), *arguments, *target], token)


async def call_client(runtime: str, *calls: tuple[Any, ...], token: str | None = None) -> list[Any]:
    """Calls methods of one `JamjetClient`, each a name followed by its arguments; returns what they return.

    A call that was refused is a `Refused`, and the ones after it are made all the same.
    """
    given = json.dumps([(method, arguments) for method, *arguments in calls])
    done = await _run([str(PROGRAMS / "python"), "-c", CALLER, runtime], token, given)
    assert done.returncode == 0, done.stderr
    outcomes = json.loads(done.stdout)
    return [Refused(out["refused"], out["answer"]) if "refused" in out else out["answer"] for out in outcomes]


@asynccontextmanager
async def jamjet_worker(source: str, *arguments: str, runtime: str, token: str) -> AsyncIterator[None]:
    """Runs `jamjet worker` while the block runs, with a module `functions` of that source."""
    with TemporaryDirectory(prefix="jamjet-") as directory:
        (Path(directory) / "functions.py").write_text(source, "utf-8")
        log = Path(directory) / "worker.log"
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(PROGRAMS / "jamjet"), "worker", *arguments, "--runtime", runtime],
                cwd=directory,
                env=_environment(directory, token) | {"PYTHONPATH": directory},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            yield
            assert process.poll() is None, log.read_text("utf-8")
        finally:
            process.kill()
            process.wait()


async def run_with_jamjet(script: str, source: str, token: str) -> str:
    """What a script prints that uses the library, beside a module `functions` of that source."""
    with TemporaryDirectory(prefix="jamjet-") as directory:
        (Path(directory) / "functions.py").write_text(source, "utf-8")
        given = f"import sys\nsys.path.insert(0, {directory!r})\n{script}"
        done = await _run([str(PROGRAMS / "python"), "-"], token, given)
    assert done.returncode == 0, done.stderr
    return done.stdout


def jamjet_version() -> tuple[int, int]:
    """Which client is used, as `(0, 12)`."""
    done = subprocess.run(
        [str(PROGRAMS / "python"), "-c", "import importlib.metadata as m; print(m.version('jamjet'))"],
        capture_output=True,
        text=True,
        check=True,
    )
    major, minor, *_ = done.stdout.split(".")
    return int(major), int(minor)


async def _run(command: list[str], token: str | None, given: str = "") -> subprocess.CompletedProcess[str]:
    with TemporaryDirectory(prefix="jamjet-") as directory:
        return await asyncio.to_thread(
            subprocess.run,
            command,
            cwd=directory,
            env=_environment(directory, token),
            input=given,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )


def _environment(home: str, token: str | None) -> dict[str, str]:
    """Nothing of this shell's settings, no proxy between the client and the test, and wide lines."""
    alien = ("JAMJET_", "PYTEST", "PYTHON")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(alien)}
    direct = {name: value for name, value in kept.items() if not name.lower().endswith("_proxy")}
    given = {"HOME": home, "COLUMNS": "200", "PYTHONUTF8": "1"} | ({"JAMJET_TOKEN": token} if token else {})
    return direct | given
