"""Executions in flight while their workers are killed at random, with -9, and started again.

    python -m benchmarks.killing_workers [--executions 200] [--seconds 60] [--workers 3] [--seed 1] [--postgres]

Each execution thinks (a call to a slow model), forks, asks for an approval in one branch and sleeps in the other,
and meets itself again. At the end all must be completed, with what happened told once and numbered without a gap;
the exit status says whether it was so. With --postgres, half-way through, the database crashes too and recovers.
"""

import argparse
import asyncio
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import psycopg

from groundwork.postgres.embedded import open_throwaway
from groundwork.postgres.pool import DatabaseUnavailable, open_pool
from registry.access import COMMAND_LINE
from registry.database import prepare_database
from registry.errors import RegistryError
from registry.executions.models import TERMINAL, show_execution_id
from registry.runtime import Registry, open_registry
from registry.settings import RegistrySettings
from tests.registry.engine.slow_model import running_slow_model
from tests.registry.engine.workflows import STEP, document

Answer = TypeVar("Answer")

ROOT = Path(__file__).resolve().parent.parent

WORKFLOW = document(
    {
        "think": {"type": "model", "model_ref": "any", "prompt_ref": "sleep {{ state.seconds }}"},
        "fork": {"type": "parallel", "branches": ["ask", "nap"]},
        "ask": {"type": "human_approval"},
        "nap": {"type": "wait", "condition": "timer", "timeout_secs": 1},
        "again": {"type": "model", "model_ref": "any", "prompt_ref": "sleep {{ state.seconds }}"},
        "meet": {"type": "join"},
        "last": STEP,
    },
    [("think", "fork"), ("ask", "meet"), ("nap", "again"), ("again", "meet"), ("meet", "last")],
    workflow_id="in-flight",
)


AT_ONCE = asyncio.Semaphore(8)
"""The pool's connections are for all who look after executions here."""


class Workers:
    """Processes of their own, of which one is killed now and then, and another one started."""

    def __init__(self, directory: Path, **settings: str) -> None:
        self._directory = directory
        self._environment = {**os.environ, **settings, "PYTHONPATH": str(ROOT), "LOG_LEVEL": "warning"}
        self._running: list[subprocess.Popen[bytes]] = []
        self.killed = 0

    def start(self) -> None:
        command = [sys.executable, "-m", "registry", "worker"]
        with (self._directory / "workers.log").open("ab") as log:
            self._running.append(
                subprocess.Popen(command, cwd=self._directory, env=self._environment, stdout=log, stderr=log)
            )

    async def lose_some(self, dice: random.Random, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            await asyncio.sleep(dice.uniform(0.5, 3))
            process = self._running.pop(dice.randrange(len(self._running)))
            process.kill()
            process.wait()
            self.killed += 1
            self.start()

    def stop(self) -> None:
        for process in self._running:
            process.send_signal(signal.SIGTERM)
        for process in self._running:
            process.wait()


async def crash_postgres(dsn: str, after: float) -> None:
    """When one of its processes is killed, PostgreSQL ends all of them and goes back to what is in its log."""
    await asyncio.sleep(after)
    with psycopg.connect(dsn) as conn, suppress(psycopg.OperationalError):
        os.kill(conn.info.backend_pid, signal.SIGKILL)
        conn.execute("SELECT 1")


async def main(executions: int, seconds: float, workers: int, seed: int, postgres: bool) -> int:
    dice = random.Random(seed)
    async with open_throwaway() as dsn, running_slow_model() as model:
        async with open_pool(dsn, name="prepare", max_size=2) as pool:
            await prepare_database(pool)
        settings = RegistrySettings(_env_file=None, database_url=dsn)
        with some_workers(workers, DATABASE_URL=dsn, JAMJET_MODEL_SEAM_URL=model.url) as running:
            async with open_registry(settings, migrate=False, worker=False) as registry:
                crash = asyncio.create_task(crash_postgres(dsn, seconds / 2 if postgres else 1e9))
                wrong = await in_flight(registry, running, dice, executions, seconds)
                crash.cancel()
        print(f"{running.killed} workers were killed; the model was asked {len(model.prompts)} times")
    return 1 if wrong else 0


@contextmanager
def some_workers(number: int, **settings: str) -> Iterator[Workers]:
    with tempfile.TemporaryDirectory() as directory:
        workers = Workers(Path(directory), **settings, JAMJET_WORKER_LEASE_SECONDS="1")
        for _ in range(number):
            workers.start()
        try:
            yield workers
        finally:
            workers.stop()


async def in_flight(
    registry: Registry, workers: Workers, dice: random.Random, executions: int, seconds: float
) -> int:
    """Keeps so many going until the time is over, and returns what was wrong with how many of all."""
    await registry.workflows.register(COMMAND_LINE, WORKFLOW)
    started, until = time.monotonic(), time.monotonic() + seconds
    losing = asyncio.create_task(workers.lose_some(dice, seconds))
    verdicts = await asyncio.gather(*(keep_one_going(registry, dice, until) for _ in range(executions)))
    await losing
    found = Counter(verdict for some in verdicts for verdict in some)
    print(f"{found.total()} executions, {executions} at a time, in {time.monotonic() - started:.0f} s")
    for verdict, number in sorted(found.items()):
        print(f"  {number:6} {verdict}")
    return found.total() - found["as it should be"]


async def insist(call: Callable[..., Awaitable[Answer]], *given: Any, **named: Any) -> Answer:
    """The answer, once there is a database again."""
    while True:
        try:
            async with AT_ONCE:
                return await call(*given, **named)
        except DatabaseUnavailable:
            await asyncio.sleep(0.5)


async def keep_one_going(registry: Registry, dice: random.Random, until: float) -> list[str]:
    """One execution after the other, as long as there is time; each is followed to its end."""
    verdicts: list[str] = []
    while not verdicts or time.monotonic() < until:
        given = {"seconds": round(dice.uniform(0.1, 2), 1)}
        started = await insist(registry.executions.start, COMMAND_LINE, "in-flight", None, given)
        execution = show_execution_id(started)
        try:
            async with asyncio.timeout(max(0, until - time.monotonic()) + 120):
                verdicts.append(await ended(registry, execution, dice))
        except TimeoutError:
            row = await registry.executions.get(COMMAND_LINE, execution)
            verdicts.append(f"never ended: {row.status}")
    return verdicts


async def ended(registry: Registry, execution: str, dice: random.Random) -> str:
    while True:
        await asyncio.sleep(dice.uniform(0.5, 1.5))
        row = await insist(registry.executions.get, COMMAND_LINE, execution)
        if row.status in TERMINAL:
            return await verdict(registry, execution, row.status)
        if row.status == "paused" or dice.random() < 0.3:
            with suppress(RegistryError):
                await insist(registry.executions.approve, COMMAND_LINE, execution, decision="approved")


async def verdict(registry: Registry, execution: str, status: str) -> str:
    _, events = await insist(registry.executions.list_events, COMMAND_LINE, execution)
    told: Any = Counter(event.node_id for event in events if event.type == "node_completed")
    if status != "completed":
        return f"ended as {status}: {events[-1].data}"
    if [event.sequence for event in events] != list(range(1, len(events) + 1)):
        return "events with a gap, or twice"
    if told != Counter(dict.fromkeys(WORKFLOW["nodes"], 1)):
        return f"told otherwise than once: {dict(told)}"
    return "as it should be"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--executions", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--postgres", action="store_true")
    sys.exit(asyncio.run(main(**vars(parser.parse_args()))))
