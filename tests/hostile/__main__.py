"""`python -m tests.hostile [requests] [seed]`: hostile requests to an agent and a registry, each a process.

Prints a table; the exit status is 0 when every answer is one that the contract has, no process has crashed or
written a traceback, and none has grown beyond bounds.
"""

import asyncio
import re
import sys
import tempfile
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from random import Random

import httpx
import psutil
from psycopg.conninfo import make_conninfo
from rich.progress import Progress

from groundwork.postgres.embedded import open_throwaway
from tests.agents import write_project
from tests.databases import create_database
from tests.hostile.campaign import Tally, attack
from tests.hostile.inputs import Source, agent_source, registry_source
from tests.processes import ServiceProcess, agent_process, registry_process
from tests.registry.cli.commands import registry_command
from tests.registry.walks import list_routes

TOKEN = "the-operators-token"
MOST_GROWTH = 150 * 1024 * 1024


@dataclass
class Service:
    """A process under attack, and what it weighed before."""

    name: str
    process: ServiceProcess
    source: Source

    @property
    def memory(self) -> int:
        weight: int = psutil.Process(self.process.process.pid).memory_info().rss
        return weight


async def main(requests: int, seed: int) -> int:
    async with AsyncExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        dsn = await stack.enter_async_context(open_throwaway())
        services = [
            await open_agent(stack, directory / "agent", dsn, seed),
            await open_registry(stack, directory / "registry", dsn, seed),
        ]
        problems = await asyncio.gather(*(attacked(service, requests // 2) for service in services))
    return 1 if any(problems) else 0


async def open_agent(stack: AsyncExitStack, directory: Path, dsn: str, seed: int) -> Service:
    write_project(directory)
    process = await stack.enter_async_context(
        agent_process(
            directory,
            postgres_dsn=make_conninfo(dsn, dbname=create_database(dsn)),
            admin_token=TOKEN,
            a2a_tokens=f"ann={TOKEN}",
            internal_runtime_control_enabled=True,
            deny_private_networks=True,
        )
    )
    return Service("agent", process, agent_source(Random(seed), TOKEN))


async def open_registry(stack: AsyncExitStack, directory: Path, dsn: str, seed: int) -> Service:
    directory.mkdir()
    settings = {"database_url": make_conninfo(dsn, dbname=create_database(dsn))}
    process = await stack.enter_async_context(
        registry_process(directory, **settings, jamjet_model="offline", deny_private_networks=True)
    )
    token = (await registry_command("tokens", "create", "--role", "operator", **settings)).stdout.strip()
    async with httpx.AsyncClient(base_url=process.url, headers={"Authorization": f"Bearer {token}"}) as http:
        [own] = (await http.get("/tokens")).json()["tokens"]
        routes = await list_routes(http)
    return Service("registry", process, registry_source(Random(seed), token, own["token_id"], routes))


async def attacked(service: Service, requests: int) -> list[str]:
    """What was wrong, printed."""
    before = service.memory
    with Progress(transient=True) as bar:
        task = bar.add_task(service.name, total=requests)
        port = httpx.URL(service.process.url).port or 0
        tally = await attack(port, service.source, requests, at_once=8, progress=lambda n: bar.advance(task))
    grown, problems = service.memory - before, list(tally.wrong)
    if service.process.process.poll() is not None:
        problems.append(f"the process ended with status {service.process.process.returncode}")
    if grown > MOST_GROWTH:
        problems.append(f"it has grown by {grown} bytes")
    problems += tracebacks(service.process.log.read_text())
    tell(service, tally, grown, problems)
    return problems


def tracebacks(log: str) -> list[str]:
    return [found[-1500:] for found in re.findall(r"Traceback .*?(?:\n    .*)+", log)]


def tell(service: Service, tally: Tally, grown: int, problems: list[str]) -> None:
    statuses = "  ".join(f"{status}: {count}" for status, count in sorted(tally.statuses.items()))
    print(
        f"{service.name}: {tally.requests} requests  {statuses}  {grown / 2**20:+.0f} MiB  {len(problems)} wrong"
    )
    for problem in problems[:20]:
        print(f"    {problem}")


if __name__ == "__main__":
    wanted = [int(argument) for argument in sys.argv[1:3]]
    sys.exit(asyncio.run(main(*(wanted + [100_000, 1][len(wanted) :]))))
