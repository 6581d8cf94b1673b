"""From the command to the first answer, and the memory of a process that is ready."""

import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import psutil

from benchmarks.bench import Bench, Measure
from benchmarks.report import Row, at_most
from benchmarks.served import PROJECT, free_port
from benchmarks.subject import ROOT

NAIVE = "naive wiring: imports alone"
AGENT = "agent-runtime serve"
REGISTRY = "registry serve"

# What an agent with PostgreSQL and A2A is made from, whoever wires it: so much is the machine's.
_NAIVE_IMPORTS = (
    "import fastapi, uvicorn, httpx, psycopg_pool, langgraph.graph, langgraph.prebuilt, langchain_core.tools,"
    " langgraph.checkpoint.postgres.aio, a2a.server.routes, a2a.server.request_handlers"
)


async def run(bench: Bench) -> Sequence[Row]:
    memory: dict[str, list[float]] = {AGENT: [], REGISTRY: []}
    async with AsyncExitStack() as stack:
        agent_dsn = await stack.enter_async_context(bench.database())
        registry_dsn = await stack.enter_async_context(bench.database())
        data = Path(stack.enter_context(TemporaryDirectory(prefix="bench-start-")))
        project = data / "agent"
        project.mkdir()
        for name in ("agent.toml", "graph.py"):
            (project / name).symlink_to(PROJECT / name)
        bench.say("seconds from the command to the first answer, on a database that is there")
        variants: dict[str, Measure] = {
            NAIVE: _importing,
            AGENT: partial(
                _ready, "agent_runtime.command.cli", project, "PORT", memory[AGENT], POSTGRES_DSN=agent_dsn
            ),
            REGISTRY: partial(
                _ready, "registry", data, "JAMJET_PORT", memory[REGISTRY], DATABASE_URL=registry_dsn
            ),
        }
        samples = await bench.rounds(variants, rounds=5, unit="s")
    for name, megabytes in memory.items():
        bench.say(f"  {name}: {statistics.median(megabytes):.0f} MB resident when ready")
    return [
        Row("`agent-runtime serve` to ready", at_most(1.2, "s"), samples.of[AGENT]),
        Row("the same ÷ the imports of a naive agent", at_most(1.1), samples.ratios(AGENT, NAIVE)),
        Row("`agent-runtime serve`, resident when ready", at_most(120, "MB"), memory[AGENT][1:]),
        Row("`registry serve` to ready", at_most(1.2, "s"), samples.of[REGISTRY]),
    ]


async def _importing() -> float:
    started = time.perf_counter()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", _NAIVE_IMPORTS, env=_environment())
    assert await process.wait() == 0
    return time.perf_counter() - started


async def _ready(module: str, directory: Path, port_variable: str, memory: list[float], **settings: str) -> float:
    port = free_port()
    started = time.perf_counter()
    async with _serving(module, directory, **{port_variable: str(port)}, **settings) as process:
        async with httpx.AsyncClient(timeout=5) as http:
            while not await _is_ready(http, port):
                assert process.returncode is None, f"{module} ended before it was ready"
                await asyncio.sleep(0.01)
        seconds = time.perf_counter() - started
        memory.append(psutil.Process(process.pid).memory_info().rss / 1e6)
    return seconds


async def _is_ready(http: httpx.AsyncClient, port: int) -> bool:
    try:
        return (await http.get(f"http://127.0.0.1:{port}/readyz")).is_success
    except httpx.TransportError:
        return False


@asynccontextmanager
async def _serving(module: str, directory: Path, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
    given = {"AGENT_ID": "bench", "JAMJET_DEV_MODE": "true", "LOG_LEVEL": "error", **settings}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, "serve", cwd=directory, env={**_environment(), **given}
    )
    try:
        yield process
    finally:
        process.terminate()
        await process.wait()


def _environment() -> dict[str, str]:
    """As it is where packages were installed: with the compiled form of every module kept."""
    without = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**without, "PYTHONPATH": str(ROOT)}
