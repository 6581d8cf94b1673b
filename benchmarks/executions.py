"""What it costs that an execution survives anything: executions of a workflow per second.

    python benchmarks/executions.py [--executions 300]

The same three nodes, which do nothing, are run as a plain LangGraph graph in this process with LangGraph's own
Postgres checkpointer, and as executions by one worker process and by two. Only the ratios mean something: all of
it shares this machine, with PostgreSQL.
"""

import argparse
import asyncio
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict
from uuid import uuid4

from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver
from langgraph.graph import START, StateGraph

from groundwork.embedded import open_throwaway
from groundwork.postgres import Pool, open_pool
from registry.access import COMMAND_LINE
from registry.database import prepare_database
from registry.service import Registry, open_registry
from registry.settings import RegistrySettings

ROOT = Path(__file__).resolve().parent.parent

AT_ONCE = 10
"""As many as a worker has in hand by default."""

NODES = ("first", "second", "third")
WORKFLOW: dict[str, Any] = {
    "workflow_id": "three-steps",
    "version": "1.0.0",
    "start_node": "first",
    "nodes": {name: {"id": name, "kind": {"type": "condition", "branches": []}} for name in NODES},
    "edges": [{"from": "first", "to": "second"}, {"from": "second", "to": "third"}],
}


async def main(executions: int) -> None:
    async with open_throwaway() as dsn, open_pool(dsn, name="benchmark", max_size=AT_ONCE) as pool:
        await prepare_database(pool)
        plain = await measured("LangGraph in process", executions, run_plain(pool, executions))
        rates = [
            await measured(f"registry, {workers} worker(s)", executions, run_registry(dsn, executions, workers))
            for workers in (1, 2)
        ]
    print(f"one worker : LangGraph in process = 1 : {plain / rates[0]:.1f}")
    print(f"one worker : two workers          = 1 : {rates[1] / rates[0]:.2f}")


async def measured(what: str, executions: int, seconds: Awaitable[float]) -> float:
    rate = executions / await seconds
    print(f"{what:<24} {rate:8.1f} executions/s")
    return rate


async def run_plain(pool: Pool, executions: int) -> float:
    class State(TypedDict):
        n: int

    async def step(state: State) -> State:
        return state

    builder = StateGraph(State)
    for name in NODES:
        builder.add_node(name, step)
    builder.add_edge(START, "first").add_edge("first", "second").add_edge("second", "third")
    graph = builder.compile(checkpointer=AsyncPostgresSaver(pool))
    at_once = asyncio.Semaphore(AT_ONCE)

    async def run() -> None:
        async with at_once:
            await graph.ainvoke({"n": 1}, {"configurable": {"thread_id": str(uuid4())}}, durability="sync")

    await run()
    started = time.monotonic()
    await asyncio.gather(*(run() for _ in range(executions)))
    return time.monotonic() - started


async def run_registry(dsn: str, executions: int, workers: int) -> float:
    """The seconds in which workers that are there and warm end what is waiting for them."""
    settings = RegistrySettings(_env_file=None, database_url=dsn)
    async with open_registry(settings, migrate=False, worker=False) as registry:
        await registry.workflows.register(COMMAND_LINE, WORKFLOW)
        with working(dsn, workers) as processes:
            await start(registry, 4 * AT_ONCE * workers)
            await ended(registry)
            tell(processes, signal.SIGSTOP)
            await start(registry, executions)
            tell(processes, signal.SIGCONT)
            started = time.monotonic()
            await ended(registry)
            return time.monotonic() - started


async def start(registry: Registry, executions: int) -> None:
    for _ in range(executions):
        await registry.executions.start(COMMAND_LINE, "three-steps", None, {"n": 1})


async def ended(registry: Registry) -> None:
    """Returns once all have."""
    async with asyncio.timeout(600):
        await _ended(registry)


async def _ended(registry: Registry) -> None:
    while True:
        async with registry.pool.connection() as conn:
            query = "SELECT count(*) AS unfinished FROM executions WHERE completed_at IS NULL"
            row = await (await conn.execute(query)).fetchone()
        if row is not None and not row["unfinished"]:
            return
        await asyncio.sleep(0.05)


@contextmanager
def working(dsn: str, workers: int) -> Iterator[list[subprocess.Popen[bytes]]]:
    environment = {**os.environ, "DATABASE_URL": dsn, "LOG_LEVEL": "warning", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "registry", "worker"]
    with tempfile.TemporaryDirectory() as directory:
        processes = [subprocess.Popen(command, cwd=directory, env=environment) for _ in range(workers)]
        try:
            yield processes
        finally:
            tell(processes, signal.SIGTERM)
            for process in processes:
                process.wait()


def tell(processes: Sequence[subprocess.Popen[bytes]], what: signal.Signals) -> None:
    for process in processes:
        process.send_signal(what)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--executions", type=int, default=300)
    asyncio.run(main(parser.parse_args().executions))
