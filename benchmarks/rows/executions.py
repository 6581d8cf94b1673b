"""Executions of a three-node workflow, by one worker and by two, against the same graph in process."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.bench import Bench
from benchmarks.filled import prepared
from benchmarks.report import Row, at_least
from benchmarks.subject import ROOT, Subject, running_subject
from registry.access import COMMAND_LINE
from registry.database import prepare_database
from registry.service import Registry, open_registry
from registry.settings import RegistrySettings

AT_ONCE = 10
"""As many as a worker has in hand by default."""

EXECUTIONS = 300
NODES = ("first", "second", "third")
WORKFLOW: dict[str, Any] = {
    "workflow_id": "three-steps",
    "version": "1.0.0",
    "start_node": "first",
    "nodes": {name: {"id": name, "kind": {"type": "condition", "branches": []}} for name in NODES},
    "edges": [{"from": "first", "to": "second"}, {"from": "second", "to": "third"}],
}
YARDSTICK = "in process, stock saver, sync"

Worker = asyncio.subprocess.Process


async def run(bench: Bench) -> Sequence[Row]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        plain = await enter(running_subject("benchmarks.three_nodes", await enter(bench.database()), str(AT_ONCE)))
        variants = {YARDSTICK: partial(_in_process, plain)}
        for workers in (1, 2):
            dsn = await enter(bench.database())
            await prepared(dsn, prepare_database)
            settings = RegistrySettings(_env_file=None, database_url=dsn)
            registry = await enter(open_registry(settings, migrate=False, worker=False))
            await registry.workflows.register(COMMAND_LINE, WORKFLOW)
            processes = [await enter(_working(dsn)) for _ in range(workers)]
            await _start(registry, 4 * AT_ONCE * workers)
            await _ended(registry)
            variants[f"registry, {workers} worker{'s'[: workers - 1]}"] = partial(_by_workers, registry, processes)
        bench.say(f"executions per second, of {EXECUTIONS} that wait")
        samples = await bench.rounds(variants, rounds=3, unit="executions/s")
    _, one, two = variants
    return [
        Row("executions of three nodes, one worker ÷ in process", at_least(0.5), samples.ratios(one, YARDSTICK)),
        Row("executions, two workers ÷ one", at_least(1.7), samples.ratios(two, one)),
    ]


async def _in_process(subject: Subject) -> float:
    seconds = (await subject.ask(executions=EXECUTIONS))["seconds"]
    return EXECUTIONS / float(seconds)


async def _by_workers(registry: Registry, workers: Sequence[Worker]) -> float:
    """The workers stand still while the executions are started: only what they do is measured."""
    _tell(workers, signal.SIGSTOP)
    await _start(registry, EXECUTIONS)
    _tell(workers, signal.SIGCONT)
    started = time.perf_counter()
    await _ended(registry)
    return EXECUTIONS / (time.perf_counter() - started)


async def _start(registry: Registry, executions: int) -> None:
    for _ in range(executions):
        await registry.executions.start(COMMAND_LINE, "three-steps", None, {"n": 1})


async def _ended(registry: Registry) -> None:
    """Returns once all have."""
    query = "SELECT EXISTS (SELECT FROM executions WHERE completed_at IS NULL) AS unfinished"
    async with asyncio.timeout(300):
        while True:
            async with registry.pool.connection() as conn:
                row = await (await conn.execute(query)).fetchone()
            if row is not None and not row["unfinished"]:
                return
            await asyncio.sleep(0.05)


@asynccontextmanager
async def _working(dsn: str) -> AsyncIterator[Worker]:
    environment = {**os.environ, "DATABASE_URL": dsn, "LOG_LEVEL": "warning", "PYTHONPATH": str(ROOT)}
    with TemporaryDirectory() as directory:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "registry", "worker", cwd=directory, env=environment
        )
        try:
            yield process
        finally:
            process.terminate()
            await process.wait()


def _tell(processes: Sequence[Worker], what: signal.Signals) -> None:
    for process in processes:
        process.send_signal(what)
