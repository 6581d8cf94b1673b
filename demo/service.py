"""A served command as a process of its own: started, watched, killed, and never left behind."""

import asyncio
import os
import shlex
import signal
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx

from agent_runtime.settings import AgentSettings
from groundwork.http.serving import AddressInUse, bind
from groundwork.postgres.embedded import open_embedded
from registry.settings import RegistrySettings

HOST = "127.0.0.1"

_START_SECONDS = 90.0
_STOP_SECONDS = 40.0

# What a developer's shell may hold for other agents and registries: the demo's have the settings of their own
# `.env`, the offline model, and tell nobody what they do.
_FOREIGN_SETTINGS = {name.upper() for name in [*AgentSettings.model_fields, *RegistrySettings.model_fields]}
_FOREIGN_PREFIXES = ("JAMJET_", "LANGSMITH_", "LANGCHAIN_", "OTEL_")


class DidNotStart(Exception):
    """The process ended, or was not ready in time."""


class CommandMissing(Exception):
    """The distribution is not installed in this environment."""


@dataclass(frozen=True)
class Program:
    """A command whose `serve` serves a directory."""

    name: str
    """What it serves, in a word."""
    command: str
    usual_port: int
    port_setting: str
    embedded_data: Path
    """Where it keeps everything in its directory, when nobody names a PostgreSQL."""


AGENT = Program("agent", "agent-runtime", 8000, "AGENT_PORT", Path(".data/postgres"))
REGISTRY = Program("registry", "registry", 7700, "JAMJET_PORT", Path(".jamjet/postgres"))


def find_command(name: str) -> str:
    """The console script that is beside this Python. Raises `CommandMissing`."""
    path = Path(sysconfig.get_path("scripts")) / name
    if not path.exists():
        raise CommandMissing(f"there is no {path}: run the demo with `make demo`, or `pip install -e .` first")
    return str(path)


def own_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """The environment without anybody's settings but `settings`."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name.upper() not in _FOREIGN_SETTINGS and not name.upper().startswith(_FOREIGN_PREFIXES)
    }
    return {**kept, "PYTHONUNBUFFERED": "1", **settings}


@dataclass
class Service:
    """A program in a directory; it runs between `start` and `kill` or `stop`."""

    program: Program
    directory: Path
    log: Path
    port: int
    settings: Mapping[str, str] = field(default_factory=dict)
    _process: subprocess.Popen[bytes] | None = None
    _log_begins: int = 0
    _was_ready: bool = False

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    @property
    def data(self) -> Path:
        return self.directory / self.program.embedded_data

    @property
    def command(self) -> str:
        """What a user would type in the directory."""
        settings = [f"{name}={shlex.quote(value)}" for name, value in self._given.items()]
        return " ".join([*settings, self.program.command, "serve"])

    @property
    def environment(self) -> dict[str, str]:
        return own_environment(self._given)

    @property
    def pid(self) -> int:
        return self._running.pid

    def start(self) -> None:
        self._log_begins = self.log.stat().st_size if self.log.exists() else 0
        self._was_ready = False
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(  # noqa: S603  # our own command, no shell
                [find_command(self.program.command), "serve"],
                cwd=self.directory,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # Ctrl-C in the terminal is the demo's; it tells the process itself.
                start_new_session=True,
            )

    async def wait_until_ready(self) -> float:
        """Returns the seconds it took. Raises `DidNotStart`."""
        began = time.monotonic()
        async with httpx.AsyncClient(timeout=5) as http:
            while self.ended_with is None and time.monotonic() < began + _START_SECONDS:
                if await _is_ready(http, self.url):
                    self._was_ready = True
                    return time.monotonic() - began
                await asyncio.sleep(0.03)
        if self.ended_with is not None:
            raise DidNotStart(f"`{self.command}` ended with status {self.ended_with}")
        raise DidNotStart(f"{self.url}/readyz did not say that it is ready within {_START_SECONDS:.0f} seconds")

    @property
    def ended_with(self) -> int | None:
        """The exit status; `None` while it runs."""
        return self._running.poll()

    def kill(self) -> int:
        """As the kernel does when memory runs out: no chance to tidy up. Returns the exit status."""
        self._running.kill()
        return self._running.wait()

    def stop(self) -> int:
        """As an orchestrator does. Returns the exit status, however long it takes within reason."""
        process = self._running
        # While it starts, only SIGINT makes it take down what it has put up so far.
        for number in (signal.SIGTERM,) if self._was_ready else (signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
            try:
                return process.wait(_STOP_SECONDS)
            except subprocess.TimeoutExpired:
                continue
        return self.kill()

    def close(self) -> None:
        """Leaves nothing behind: neither the process nor the PostgreSQL that a killed one could not stop."""
        try:
            if self._process is not None and self.ended_with is None:
                self.stop()
        finally:
            if self._process is not None and self.ended_with is None:
                self.kill()
            if (self.data / "postmaster.pid").exists():
                asyncio.run(_leave_database(self.data))

    def is_listening(self) -> bool:
        """Whether anything answers at its address."""
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((HOST, self.port)) == 0

    def log_lines(self) -> list[str]:
        """What it has printed since its last start."""
        if not self.log.exists():
            return []
        with self.log.open("rb") as log:
            log.seek(self._log_begins)
            return log.read().decode(errors="replace").splitlines()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, f"the {self.program.name} was not started"
        return self._process

    @property
    def _given(self) -> dict[str, str]:
        usual = self.port == self.program.usual_port
        return {**({} if usual else {self.program.port_setting: str(self.port)}), **self.settings}


@contextmanager
def open_service(
    program: Program, directory: Path, log: Path, settings: Mapping[str, str] | None = None
) -> Iterator[Service]:
    """A service that is not started yet, with a port for it; whatever becomes of it is cleared away at the end."""
    with _claim_port(program.usual_port) as port:
        service = Service(program, directory, log, port, settings or {})
        try:
            yield service
        finally:
            service.close()


@contextmanager
def _claim_port(usual_port: int) -> Iterator[int]:
    """The usual port if it is free, else any.

    A service takes its port some time after it was chosen. The UDP socket of that number keeps another demo from
    choosing it meanwhile, and from taking this one's services for its own.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as claim:
        try:
            claim.bind((HOST, usual_port))
            bind(HOST, usual_port).close()
        except (OSError, AddressInUse):
            with bind(HOST, 0) as free:
                port: int = free.getsockname()[1]
        else:
            port = usual_port
        yield port


async def _is_ready(http: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await http.get(f"{url}/readyz")).is_success
    except httpx.TransportError:
        return False


async def _leave_database(data: Path) -> None:
    async with open_embedded(data):
        pass  # the last one out stops it
