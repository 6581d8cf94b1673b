"""Agents and registries as processes of their own, for tests that kill them."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

ROOT = Path(__file__).parent.parent


@dataclass
class ServiceProcess:
    """`agent-runtime serve` or `registry serve` in a directory, ready to be spoken to."""

    url: str
    process: subprocess.Popen[bytes]
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
async def agent_process(directory: Path, **settings: object) -> AsyncIterator[ServiceProcess]:
    """Starts an agent and waits until it is ready; ends it with the block if it still runs."""
    port = free_port()
    given = {"agent_id": "test-agent", "turn_lease_seconds": 1, "shutdown_grace_seconds": 5} | settings
    async with _service("agent_runtime.cli", directory, port, given | {"port": port}) as agent:
        yield agent


@asynccontextmanager
async def registry_process(directory: Path, **settings: object) -> AsyncIterator[ServiceProcess]:
    """Starts a registry and waits until it is ready; ends it with the block if it still runs."""
    port = int(str(settings.get("jamjet_port", 0))) or free_port()
    given = {"shutdown_grace_seconds": 5} | settings
    async with _service("registry", directory, port, given | {"jamjet_port": port}) as registry:
        yield registry


@asynccontextmanager
async def _service(
    module: str, directory: Path, port: int, settings: dict[str, object]
) -> AsyncIterator[ServiceProcess]:
    log = directory / f"{module}-{port}.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", module, "serve"],
            cwd=directory,
            env=environment(**settings),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    service = ServiceProcess(f"http://127.0.0.1:{port}", process, log)
    try:
        await _ready(service)
        yield service
    finally:
        if process.poll() is None:
            service.terminate()


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
