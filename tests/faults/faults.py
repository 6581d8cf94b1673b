"""What is broken, and how it is put right again.

Each fault takes a few seconds and then has healed what it broke; the rest is the services' business.
"""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from functools import partial

import psycopg

from tests.faults.proxy import Mood, Proxy
from tests.faults.services import Service
from tests.faults.town import LEASE_SECONDS, Town

Fault = Callable[[Town, random.Random], Awaitable[None]]

_STATEMENT_MILLISECONDS = 20
_LOCKED_SECONDS = 2.0
_TABLES = (
    ("agents", "agent_turns"),
    ("agents", "agent_threads"),
    ("agents", "agent_processes"),
    ("agents", "a2a_tasks"),
    ("agents", "checkpoints"),
    ("agents", "agent_settings"),
    ("registry", "executions"),
    ("registry", "execution_waits"),
    ("registry", "agents"),
    ("registry", "audit_chains"),
    ("registry", "workers"),
    ("registry", "procrastinate_jobs"),
)


def _a_moment(dice: random.Random) -> float:
    return dice.uniform(0.2, 1.5)


# Processes


async def _kill(town: Town, dice: random.Random, *, which: Callable[[Town, random.Random], Service]) -> None:
    service = which(town, dice)
    async with service.in_use:
        await service.kill()
        await asyncio.sleep(_a_moment(dice))
        await service.be_ready()


async def _restart(town: Town, dice: random.Random) -> None:
    """SIGTERM in the middle of the work, as at a deployment."""
    service = dice.choice(town.services)
    async with service.in_use:
        await service.stop()
        await service.be_ready()


async def _stall(town: Town, dice: random.Random, *, which: Callable[[Town, random.Random], Service]) -> None:
    """A process stands still until everybody has taken it for dead, and then goes on as if nothing had been."""
    service = which(town, dice)
    async with service.in_use:
        service.send(signal.SIGSTOP)
        try:
            await asyncio.sleep(LEASE_SECONDS + dice.uniform(0.5, 2))
        finally:
            service.send(signal.SIGCONT)


def _a_replica(town: Town, dice: random.Random) -> Service:
    return dice.choice([*town.replicas, *town.strangers])


def _the_peer(town: Town, dice: random.Random) -> Service:
    return town.peer


def _the_registry(town: Town, dice: random.Random) -> Service:
    return town.registry


def _the_worker(town: Town, dice: random.Random) -> Service:
    return town.worker


# PostgreSQL


async def _restart_postgres(town: Town, dice: random.Random) -> None:
    async with town.postgres.in_use:
        await town.postgres.stop()
        await asyncio.sleep(_a_moment(dice))
        await town.postgres.start()


async def _kill_postgres(town: Town, dice: random.Random) -> None:
    async with town.postgres.in_use:
        await asyncio.to_thread(town.postgres.kill)
        await asyncio.sleep(_a_moment(dice))
        await town.postgres.start()


async def _crash_postgres(town: Town, dice: random.Random) -> None:
    async with _its_database(town):
        await town.postgres.crash()


async def _end_connections(town: Town, dice: random.Random) -> None:
    async with _its_database(town):
        for _ in range(3):
            await town.postgres.end_connections()
            await asyncio.sleep(_a_moment(dice) / 2)


async def _limit_statements(town: Town, dice: random.Random) -> None:
    """Statements that take longer than a blink are cancelled for a while, on every connection."""
    async with _its_database(town):
        try:
            await town.postgres.limit_statements(_STATEMENT_MILLISECONDS)
            await town.postgres.end_connections()
            await asyncio.sleep(2)
        finally:
            await town.postgres.limit_statements(0)
            await town.postgres.end_connections()


async def _lock_table(town: Town, dice: random.Random) -> None:
    async with _its_database(town):
        await town.postgres.lock_table(*dice.choice(_TABLES), _LOCKED_SECONDS)


async def _fill_disk(town: Town, dice: random.Random) -> None:
    """Statements fail for want of room, and the server with its next piece of log; then there is room again."""
    assert town.disk is not None
    async with _its_database(town):
        try:
            await asyncio.to_thread(town.disk.fill)
            await asyncio.sleep(dice.uniform(1, 3))
        finally:
            town.disk.tidy()
        await town.postgres.recover()


@asynccontextmanager
async def _its_database(town: Town) -> AsyncIterator[None]:
    """Until a server that crashed by another fault's hand has recovered, there is nothing here to break."""
    async with town.postgres.in_use:
        while True:
            try:
                await town.postgres.ask("postgres", "SELECT 1")
                break
            except psycopg.OperationalError:
                await asyncio.sleep(0.2)
        yield


# The network, and what is behind it


async def _upset(town: Town, dice: random.Random, *, way: Callable[[Town], Proxy], mood: Mood) -> None:
    proxy = way(town)
    async with proxy.in_use:
        proxy.become(mood)
        try:
            await asyncio.sleep(dice.uniform(1, 4))
        finally:
            proxy.become(Mood.OPEN)


async def _kill_tools(town: Town, dice: random.Random) -> None:
    async with town.network.tools.in_use:
        await asyncio.to_thread(town.tools.kill)
        await asyncio.sleep(_a_moment(dice))
        await asyncio.to_thread(town.tools.start)


def _database(town: Town) -> Proxy:
    return town.network.database


def _registry(town: Town) -> Proxy:
    return town.network.registry


def _front(town: Town) -> Proxy:
    return town.network.front


def _peer(town: Town) -> Proxy:
    return town.network.peer


def _tools(town: Town) -> Proxy:
    return town.network.tools


FAULTS: Mapping[str, Fault] = {
    "agent killed": partial(_kill, which=_a_replica),
    "agent stalled": partial(_stall, which=_a_replica),
    "peer killed": partial(_kill, which=_the_peer),
    "registry killed": partial(_kill, which=_the_registry),
    "registry stalled": partial(_stall, which=_the_registry),
    "worker killed": partial(_kill, which=_the_worker),
    "worker stalled": partial(_stall, which=_the_worker),
    "graceful restart": _restart,
    "postgres restarted": _restart_postgres,
    "postgres killed": _kill_postgres,
    "postgres crashed": _crash_postgres,
    "connections ended": _end_connections,
    "statement timeout": _limit_statements,
    "table locked": _lock_table,
    "disk full": _fill_disk,
    "database slow": partial(_upset, way=_database, mood=Mood.SLOW),
    "database frozen": partial(_upset, way=_database, mood=Mood.FROZEN),
    "database cut off": partial(_upset, way=_database, mood=Mood.CUT),
    "registry slow": partial(_upset, way=_registry, mood=Mood.SLOW),
    "registry frozen": partial(_upset, way=_registry, mood=Mood.FROZEN),
    "registry cut off": partial(_upset, way=_registry, mood=Mood.CUT),
    "registry nonsense": partial(_upset, way=_registry, mood=Mood.NONSENSE),
    "registry flood": partial(_upset, way=_registry, mood=Mood.FLOOD),
    "agent slow": partial(_upset, way=_front, mood=Mood.SLOW),
    "agent cut off": partial(_upset, way=_front, mood=Mood.CUT),
    "peer frozen": partial(_upset, way=_peer, mood=Mood.FROZEN),
    "peer nonsense": partial(_upset, way=_peer, mood=Mood.NONSENSE),
    "peer flood": partial(_upset, way=_peer, mood=Mood.FLOOD),
    "MCP killed": _kill_tools,
    "MCP frozen": partial(_upset, way=_tools, mood=Mood.FROZEN),
    "MCP nonsense": partial(_upset, way=_tools, mood=Mood.NONSENSE),
    "MCP flood": partial(_upset, way=_tools, mood=Mood.FLOOD),
}
"""By what the table calls them."""


_OTHERS = ("registry", "worker", "peer", "MCP", "agent slow", "agent cut off")
DISTURBING = frozenset(name for name in FAULTS if not name.startswith(_OTHERS))
"""Those that end runs of agents, or keep them from storing what they have done: steps may be run again."""


def faults_in(town: Town) -> list[str]:
    """Those that can be made there: for a full disk PostgreSQL has to have one of its own."""
    return [name for name, fault in FAULTS.items() if town.disk is not None or fault is not _fill_disk]
