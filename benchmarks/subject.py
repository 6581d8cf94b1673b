"""What is measured, and who measures it, in processes of their own: they take commands as lines of JSON."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent

Command = dict[str, Any]

_LONGEST_LINE = 64 * 1024 * 1024


class SubjectDied(Exception):
    """The process ended instead of answering; what it had to say is on standard error."""


class Subject:
    """A process that runs a module of this package and answers commands, one at a time."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @property
    def pid(self) -> int:
        return self._process.pid

    async def ask(self, **command: Any) -> Any:
        """Sends the command and waits for the answer. Raises `SubjectDied`."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        await self._process.stdin.drain()
        line = await self._process.stdout.readline()
        if not line:
            raise SubjectDied(f"process {self.pid} ended before it answered")
        return json.loads(line)


@asynccontextmanager
async def running_subject(module: str, *arguments: str, **settings: str) -> AsyncIterator[Subject]:
    """Runs `python -m module arguments` until the block ends; `settings` are environment variables."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(ROOT), **settings},
        cwd=ROOT,
        limit=_LONGEST_LINE,
    )
    try:
        yield Subject(process)
    finally:
        assert process.stdin is not None
        process.stdin.close()
        try:
            await asyncio.wait_for(process.wait(), 20)
        except TimeoutError:
            process.kill()
            await process.wait()


async def answer_commands(answer: Callable[[Command], Awaitable[Any]]) -> None:
    """For the process itself: answers each line that comes in, until there are no more."""
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps(await answer(json.loads(line))), flush=True)
