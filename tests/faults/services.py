"""A process that ought to run: started, killed, stalled, stopped, and started again."""

import asyncio
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from tests.forked import ForkedProcess, forks
from tests.processes import environment

START_SECONDS = 120.0
_STOP_SECONDS = 90.0
_LOOK_SECONDS = 0.1


class NotReady(Exception):
    """A service did not come up, however often it was started; the message has the end of its log."""


@dataclass
class Service:
    """`python -m COMMAND` in a directory of its own. `url` is where `/readyz` is; without one, `told` is what its
    log says when it is ready."""

    name: str
    command: Sequence[str]
    directory: Path
    log: Path
    settings: Mapping[str, object]
    url: str = ""
    told: str = ""
    in_use: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held by whoever does something to it."""
    ended_by_itself: list[str] = field(default_factory=list)
    statuses: list[int] = field(default_factory=list)
    """With what it has ended each time that it was asked to."""
    process: ForkedProcess | None = None
    _was_ready: bool = False
    _log_before: int = 0

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        self._was_ready = False
        with self.log.open("ab") as output:
            self._log_before = output.tell()
        module, *arguments = self.command
        self.process = forks().start(module, arguments, self.log, environment(**self.settings), self.directory)

    async def kill(self) -> None:
        """As the kernel does when memory runs out."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """As an orchestrator does. Raises `subprocess.TimeoutExpired` when it does not go."""
        self.send(signal.SIGCONT)
        status = await self._end(signal.SIGTERM)
        if self._was_ready:
            self.statuses.append(status)

    async def _end(self, number: signal.Signals) -> int:
        process = self.process
        assert process is not None
        self.look_after()
        self.send(number)
        status = await asyncio.to_thread(process.wait, _STOP_SECONDS)
        self.process = None
        return status

    def send(self, number: signal.Signals) -> None:
        if self.process is not None:
            self.process.send_signal(number)

    async def be_ready(self, seconds: float = START_SECONDS) -> None:
        """Returns when it is ready for work, starting it as often as needed: while its database is away, it ends.
        Raises `NotReady`."""
        deadline = asyncio.get_running_loop().time() + seconds
        async with httpx.AsyncClient(timeout=5) as http:
            while not await self._is_ready(http):
                if asyncio.get_running_loop().time() > deadline:
                    raise NotReady(f"{self.name} did not come up: {self.log.read_text()[-3000:]}")
                self.look_after()
                await asyncio.sleep(_LOOK_SECONDS)
        self._was_ready = True

    def look_after(self) -> None:
        """Starts it again if it has ended without being told to."""
        if self.process is not None and (status := self.process.poll()) is None:
            return
        if self.process is not None and self._was_ready:
            self.ended_by_itself.append(f"{self.name} ended with status {status} and nobody had told it to")
        self.start()

    async def _is_ready(self, http: httpx.AsyncClient) -> bool:
        if self.process is None or self.process.poll() is not None:
            return False
        if not self.url:
            with self.log.open("rb") as log:
                log.seek(self._log_before)
                return self.told.encode() in log.read()
        try:
            return (await http.get(f"{self.url}/readyz")).status_code == 200
        except httpx.TransportError:
            return False
