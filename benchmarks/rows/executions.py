"""Executions of a three-node workflow, by one worker and by two, against the same graph in process.

How two workers compare with one is also measured with a third of a core for each, as containers with a limit have
it: then there are cores for both and for PostgreSQL. And with nodes that wait for somebody else, as most do: what
counts then is the queue and the database, and not the number of cores.
"""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import pairwise
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.bench import Bench
from benchmarks.filled import prepared
from benchmarks.report import Row, at_least
from benchmarks.subject import ROOT, Subject, running_subject
from groundwork.process.background import running
from registry.access import COMMAND_LINE
from registry.database import prepare_database
from registry.runtime import Registry, open_registry
from registry.settings import RegistrySettings

AT_ONCE = 10
"""As many as a worker has in hand by default."""

EXECUTIONS = 150
LIMITED_EXECUTIONS = 60
WAITING_EXECUTIONS = 40
ANSWER_SECONDS = 0.25
LIMIT, PERIOD_SECONDS = 1 / 3, 0.09
"""Which share of a core a worker with a limit has, and in which time."""

NODES = ("first", "second", "third")
STEPS, CALLS = "three-steps", "three-calls"
YARDSTICK = "in process, stock saver, sync"

Worker = asyncio.subprocess.Process


async def run(bench: Bench) -> Sequence[Row]:
    async with AsyncExitStack() as stack:
        enter = stack.enter_async_context
        plain = await enter(running_subject("benchmarks.three_nodes", await enter(bench.database()), str(AT_ONCE)))
        slow = await enter(_slow_server())
        variants = {YARDSTICK: partial(_in_process, plain)}
        limited, waiting = {}, {}
        for workers in (1, 2):
            dsn = await enter(bench.database())
            await prepared(dsn, prepare_database)
            settings = RegistrySettings(_env_file=None, database_url=dsn)
            registry = await enter(open_registry(settings, migrate=False, worker=False))
            await registry.workflows.register(
                COMMAND_LINE, _workflow(STEPS, {"type": "condition", "branches": []})
            )
            call = {"type": "tool", "tool_ref": "slow", "input_mapping": {}}
            tools = {"slow": {"kind": "http", "reference": slow}}
            await registry.workflows.register(COMMAND_LINE, _workflow(CALLS, call) | {"tools": tools})
            processes = [await enter(_working(dsn)) for _ in range(workers)]
            await _start(registry, STEPS, 4 * AT_ONCE * workers)
            await _ended(registry)
            name = f"registry, {workers} worker{'s'[: workers - 1]}"
            variants[name] = partial(_by_workers, registry, processes, STEPS, EXECUTIONS)
            limited[name] = partial(_by_workers, registry, processes, STEPS, LIMITED_EXECUTIONS, limit=LIMIT)
            waiting[name] = partial(_by_workers, registry, processes, CALLS, WAITING_EXECUTIONS)
        bench.say(f"executions per second, of {EXECUTIONS} in the queue")
        samples = await bench.rounds(variants, rounds=3, unit="executions/s")
        bench.say(f"the same, of {LIMITED_EXECUTIONS}, with a third of a core for each worker")
        apart = await bench.rounds(limited, rounds=3, unit="executions/s", warm_up=False)
        bench.say(f"the same, of {WAITING_EXECUTIONS} whose nodes wait {ANSWER_SECONDS} s each for an answer")
        waited = await bench.rounds(waiting, rounds=3, unit="executions/s", warm_up=False)
    _, one, two = variants
    return [
        Row("executions of three nodes, one worker ÷ in process", at_least(0.5), samples.ratios(one, YARDSTICK)),
        Row("the same, two workers ÷ one, with nodes that compute", at_least(1.7), samples.ratios(two, one)),
        Row("the same, with a third of a core for each worker", at_least(1.7), apart.ratios(two, one)),
        Row("the same, two workers ÷ one, with nodes that wait", at_least(1.7), waited.ratios(two, one)),
    ]


def _workflow(name: str, kind: dict[str, Any]) -> dict[str, Any]:
    return {
        "workflow_id": name,
        "version": "1.0.0",
        "start_node": NODES[0],
        "nodes": {node: {"id": node, "kind": kind} for node in NODES},
        "edges": [{"from": before, "to": after} for before, after in pairwise(NODES)],
    }


async def _in_process(subject: Subject) -> float:
    seconds = (await subject.ask(executions=EXECUTIONS))["seconds"]
    return EXECUTIONS / float(seconds)


async def _by_workers(
    registry: Registry, workers: Sequence[Worker], workflow: str, executions: int, limit: float = 1
) -> float:
    """The workers stand still while the executions are started: only what they do is measured. Each may have as
    much of a core as `limit` says."""
    _tell(workers, signal.SIGSTOP)
    try:
        await _start(registry, workflow, executions)
        started = time.perf_counter()
        async with running("workers", partial(_let_run, workers, limit)):
            await _ended(registry)
        return executions / (time.perf_counter() - started)
    finally:
        _tell(workers, signal.SIGCONT)  # one that stands still cannot be told to end


async def _let_run(workers: Sequence[Worker], limit: float) -> None:
    """One after the other, each for so much of a period; all of them all the time, without a limit."""
    if limit == 1:
        _tell(workers, signal.SIGCONT)
        return
    while True:
        for worker in workers:
            worker.send_signal(signal.SIGCONT)
            await asyncio.sleep(PERIOD_SECONDS * limit)
            worker.send_signal(signal.SIGSTOP)
        await asyncio.sleep(PERIOD_SECONDS * (1 - limit * len(workers)))


async def _start(registry: Registry, workflow: str, executions: int) -> None:
    for _ in range(executions):
        await registry.executions.start(COMMAND_LINE, workflow, None, {"n": 1})


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


@asynccontextmanager
async def _slow_server() -> AsyncIterator[str]:
    """The URL of something that takes its time to answer."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(ANSWER_SECONDS)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n")
        writer.write(b"Connection: close\r\n\r\n{}")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


def _tell(processes: Sequence[Worker], what: signal.Signals) -> None:
    for process in processes:
        process.send_signal(what)
