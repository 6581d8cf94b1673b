"""The agent under load, as `agent-runtime serve` runs it, and what can be asked about its process."""

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from benchmarks.subject import ROOT

PROJECT = Path(__file__).parent / "agent"

_START_SECONDS = 60


@dataclass(frozen=True)
class Served:
    """A process that listens on `port` of `host`."""

    host: str
    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def cpu_seconds(self) -> float:
        """Processor time that it has used so far."""
        times = psutil.Process(self.pid).cpu_times()
        return float(times.user + times.system)

    @property
    def resident_megabytes(self) -> float:
        return float(psutil.Process(self.pid).memory_info().rss) / 1e6


@asynccontextmanager
async def running_agent(
    dsn: str, *, project: Path = PROJECT, graph: str = "chat", **settings: object
) -> AsyncIterator[Served]:
    """Runs `agent-runtime serve` on the database until the block ends."""
    given = {"agent_id": "bench", "postgres_dsn": dsn, "bench_graph": graph, "log_level": "warning"} | settings
    async with _running("agent_runtime.command.cli", "PORT", project, given) as served:
        yield served


@asynccontextmanager
async def running_module(
    module: str, dsn: str, *, project: Path = PROJECT, **settings: object
) -> AsyncIterator[Served]:
    """Runs another server, `python -m module serve`, which finds its port in `PORT` and answers `/readyz`."""
    async with _running(module, "PORT", project, {"postgres_dsn": dsn} | settings) as served:
        yield served


@asynccontextmanager
async def running_registry(dsn: str, **settings: object) -> AsyncIterator[Served]:
    """Runs `registry serve` on the database until the block ends; whoever reaches it may do everything."""
    given = {"database_url": dsn, "jamjet_dev_mode": True, "log_level": "warning"} | settings
    async with _running("registry", "JAMJET_PORT", PROJECT, given) as served:
        yield served


@asynccontextmanager
async def _running(
    module: str, port_variable: str, directory: Path, settings: dict[str, object]
) -> AsyncIterator[Served]:
    port = free_port()
    environment = {name.upper(): str(value) for name, value in settings.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        "serve",
        cwd=directory,
        env={**os.environ, "PYTHONPATH": str(ROOT), port_variable: str(port), **environment},
        stdin=asyncio.subprocess.DEVNULL,
    )
    try:
        served = Served("127.0.0.1", port, process.pid)
        await _ready(served.url, process)
        yield served
    finally:
        if process.returncode is None:
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), 40)
        except TimeoutError:
            process.kill()
            await process.wait()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


async def _ready(url: str, process: asyncio.subprocess.Process) -> None:
    async with httpx.AsyncClient(timeout=5) as client, asyncio.timeout(_START_SECONDS):
        while process.returncode is None:
            try:
                if (await client.get(f"{url}/readyz")).is_success:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.02)
    raise RuntimeError(f"the process at {url} ended with status {process.returncode} before it was ready")
