"""Agents and registries as processes of their own, for tests that kill them."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.forked import ForkedProcess, forks

ROOT = Path(__file__).parent.parent


@dataclass
class ServiceProcess:
    """`agent-runtime serve`, `registry serve` or `registry worker` in a directory, ready for work."""

    url: str
    """Empty for a worker, which nobody speaks to."""
    process: ForkedProcess
    log: Path

    def kill(self) -> None:
        """As the kernel does when memory runs out: no chance to tidy up."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def terminate(self, timeout: float = 20) -> int:
        """As an orchestrator does. Returns the exit status."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def environment(**settings: object) -> dict[str, str]:
    """The environment of a served process: nothing of this shell's settings, and the repository's packages."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return kept | {"PYTHONPATH": str(ROOT)} | {name.upper(): str(value) for name, value in settings.items()}


@asynccontextmanager
async def agent_process(
    directory: Path, *, command: str = "serve", **settings: object
) -> AsyncIterator[ServiceProcess]:
    """Starts an agent and waits until it is ready; ends it with the block if it still runs. A setting that is
    `None` is not set."""
    port = free_port()
    given = {"agent_id": "test-agent", "turn_lease_seconds": 1, "shutdown_grace_seconds": 5} | settings
    given = {name: value for name, value in given.items() if value is not None}
    async with _service("agent_runtime.command.cli", directory, port, given | {"port": port}, command) as agent:
        yield agent


@asynccontextmanager
async def registry_process(directory: Path, *arguments: str, **settings: object) -> AsyncIterator[ServiceProcess]:
    """Starts `registry serve` with the arguments and waits until it is ready; ends it with the block if it still
    runs."""
    port = int(str(settings.get("jamjet_port", 0))) or free_port()
    given = {"shutdown_grace_seconds": 5} | settings | {"jamjet_port": port}
    async with _service("registry", directory, port, given, "serve", *arguments) as registry:
        yield registry


@asynccontextmanager
async def worker_process(directory: Path, name: str, **settings: object) -> AsyncIterator[ServiceProcess]:
    """Starts a `registry worker` and waits until it takes executions; ends it with the block if it still runs."""
    given = {"shutdown_grace_seconds": 5, "jamjet_worker_lease_seconds": 1} | settings
    worker = _start("registry", directory / f"{name}.log", given, "worker")
    try:
        await _told(worker, "takes executions")
        yield worker
    finally:
        if worker.process.poll() is None:
            worker.process.send_signal(signal.SIGCONT)
            worker.terminate()


@asynccontextmanager
async def _service(
    module: str, directory: Path, port: int, settings: dict[str, object], *arguments: str
) -> AsyncIterator[ServiceProcess]:
    log = directory / f"{module}-{port}.log"
    service = _start(module, log, settings, *(arguments or ["serve"]), url=f"http://127.0.0.1:{port}")
    try:
        await _ready(service)
        yield service
    finally:
        if service.process.poll() is None:
            service.terminate()


def _start(module: str, log: Path, settings: dict[str, object], *arguments: str, url: str = "") -> ServiceProcess:
    log.touch()
    return ServiceProcess(
        url, forks().start(module, list(arguments), log, environment(**settings), log.parent), log
    )


def run_to_its_end(directory: Path, module: str, *arguments: str, **settings: object) -> tuple[int, str]:
    """Run `python -m module arguments` in the directory. Return its exit status, and all that it has said."""
    log = directory / f"{module}.log"
    process = forks().start(module, list(arguments), log, environment(**settings), directory)
    return process.wait(60), log.read_text()


async def _ready(service: ServiceProcess, timeout: float = 30) -> None:
    deadline = asyncio.get_running_loop().time() + timeout
    async with httpx.AsyncClient() as http:
        while asyncio.get_running_loop().time() < deadline:
            if service.process.poll() is not None:
                break
            try:
                if (await http.get(f"{service.url}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)
    raise AssertionError(f"it did not come up:\n{service.log.read_text()}")


async def _told(service: ServiceProcess, text: str, timeout: float = 30) -> None:
    deadline = asyncio.get_running_loop().time() + timeout
    while asyncio.get_running_loop().time() < deadline and service.process.poll() is None:
        if text in service.log.read_text():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"it did not come up:\n{service.log.read_text()}")
