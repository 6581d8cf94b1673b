"""Everything that runs while faults are injected, and the network between its parts."""

import asyncio
import secrets
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from tests import strange_mcp
from tests.faults.disk import Disk, small_disk
from tests.faults.postgres import Postgres
from tests.faults.proxy import Proxy
from tests.faults.services import Service
from tests.mcp_servers import McpProcess
from tests.processes import free_port
from tests.servers import run_server
from tests.strange_mcp import Strange

AGENT_ID = "talker"
PEER_ID = "steady"
STRANGER_ID = "stranger"
PROMPT = "soak-system"
LEASE_SECONDS = 2.0
MARK = "STARTED_BY_FAULTS"
POOL_SIZE = 6
CHECKPOINTS_KEPT = 2

_HERE = Path(__file__).parent

_CARD = """
graph = "agent:graph"

[card]
name = "{name}"
description = "An agent for bad days."

[prompts.system]
component = "{prompt}"
template = "Be brief."
"""

_STRANGE_TOOLS = """
[mcp.http]
url = "{url}/mcp"
timeout_seconds = 2

[mcp.stdio]
command = "{python}"
args = ["{script}", "{seed}"]
timeout_seconds = 2
"""

_TOOLS = """
[mcp.tools]
url = "{tools}/mcp"

[a2a.{peer}]
url = "{peer_url}"
"""


@dataclass
class Network:
    """The ways between the parts."""

    database: Proxy
    """From every service to PostgreSQL."""
    registry: Proxy
    """From agents to the registry."""
    front: Proxy
    """From everybody to the replicas of the agent."""
    strangers: Proxy
    """From everybody to the replicas of the stranger's graph."""
    peer: Proxy
    """From the agent, and whoever goes by its card, to the second agent."""
    tools: Proxy
    """From the agent to its MCP server."""

    @property
    def ways(self) -> tuple[Proxy, ...]:
        return self.database, self.registry, self.front, self.strangers, self.peer, self.tools


@dataclass
class Town:
    directory: Path
    postgres: Postgres
    disk: Disk | None
    """What PostgreSQL keeps its data on, where that is a file system of its own."""
    network: Network
    registry: Service
    worker: Service
    replicas: tuple[Service, Service]
    strangers: tuple[Service, Service]
    """Of a graph that does what it likes, with MCP servers that misbehave."""
    peer: Service
    tools: McpProcess
    mark: str

    @property
    def agents(self) -> tuple[Service, ...]:
        return *self.replicas, *self.strangers, self.peer

    @property
    def services(self) -> tuple[Service, ...]:
        return self.registry, self.worker, *self.agents

    @property
    def journal(self) -> Path:
        """Of the stranger's calls."""
        return self.strangers[0].directory / "journal"

    def database_url(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.network.database.port}/{name}"

    async def all_ready(self) -> None:
        """Raises `NotReady`."""
        async with asyncio.TaskGroup() as group:
            for service in self.services:
                group.create_task(service.be_ready())

    async def stop(self) -> None:
        """Tells everybody to go, as at the end of a day."""
        async with asyncio.TaskGroup() as group:
            for service in self.services:
                if service.process is not None:
                    group.create_task(service.stop())
        await asyncio.to_thread(self.tools.kill)


@asynccontextmanager
async def open_town(directory: Path, *, own_disk: bool = False, seed: int = 0) -> AsyncIterator[Town]:
    """Starts all of it, and ends what still runs with the block, however it is left. `own_disk`: PostgreSQL gets a
    file system of its own, where that can be made. `seed`: of the MCP servers that misbehave."""
    async with AsyncExitStack() as stack:
        postgres = Postgres(directory / "postgres")
        disk = stack.enter_context(small_disk(postgres.directory)) if own_disk else None
        stack.push_async_callback(postgres.stop)
        await postgres.start()
        await postgres.create_databases()
        odd = await stack.enter_async_context(run_server(Strange(seed=seed).app))
        strange_tools = _STRANGE_TOOLS.format(
            url=odd, python=sys.executable, script=strange_mcp.__file__, seed=seed
        )
        town = _plan(directory, postgres, disk, strange_tools)
        for way in town.network.ways:
            await stack.enter_async_context(way)
        stack.push_async_callback(_end_all, town)
        await asyncio.to_thread(town.tools.start)
        await town.all_ready()
        yield town


async def _end_all(town: Town) -> None:
    for service in town.services:
        if service.process is not None:
            await service.kill()
    await asyncio.to_thread(town.tools.kill)


def _plan(directory: Path, postgres: Postgres, disk: Disk | None, strange_tools: str) -> Town:
    registry, first, second, third, fourth, peer, tools = (free_port() for _ in range(7))
    network = Network(
        database=Proxy(free_port(), [postgres.socket]),
        registry=Proxy(free_port(), [registry]),
        front=Proxy(free_port(), [first, second]),
        strangers=Proxy(free_port(), [third, fourth]),
        peer=Proxy(free_port(), [peer]),
        tools=Proxy(free_port(), [tools]),
    )
    mark = secrets.token_hex(8)
    plan = _Plan(directory, network, mark)
    taken = _TOOLS.format(tools=network.tools.url, peer=PEER_ID, peer_url=network.peer.url)
    talker = plan.project(AGENT_ID, "agent", taken)
    stranger = plan.project(STRANGER_ID, "stranger", strange_tools)
    return Town(
        directory=directory,
        postgres=postgres,
        disk=disk,
        network=network,
        registry=plan.registry(registry),
        worker=plan.worker(),
        replicas=(
            plan.agent("agent-1", AGENT_ID, talker, first, network.front),
            plan.agent("agent-2", AGENT_ID, talker, second, network.front),
        ),
        strangers=(
            plan.agent("stranger-1", STRANGER_ID, stranger, third, network.strangers),
            plan.agent("stranger-2", STRANGER_ID, stranger, fourth, network.strangers),
        ),
        peer=plan.agent("peer", PEER_ID, plan.project(PEER_ID, "agent"), peer, network.peer),
        tools=McpProcess(tools, {MARK: mark}),
        mark=mark,
    )


@dataclass
class _Plan:
    directory: Path
    network: Network
    mark: str

    def project(self, name: str, graph: str, more: str = "") -> Path:
        """`graph` is the file here that has it."""
        project = self.directory / name
        project.mkdir()
        (project / "agent.py").write_text((_HERE / f"{graph}.py").read_text())
        (project / "agent.toml").write_text(_CARD.format(name=name, prompt=PROMPT) + more)
        return project

    def agent(self, name: str, agent_id: str, project: Path, port: int, way: Proxy) -> Service:
        settings = {
            MARK: self.mark,
            "agent_id": agent_id,
            "port": port,
            "public_agent_url": way.url,
            "postgres_dsn": self._database("agents"),
            "postgres_pool_size": POOL_SIZE,
            "turn_lease_seconds": LEASE_SECONDS,
            "checkpoint_retention": CHECKPOINTS_KEPT,
            "registry_url": self.network.registry.url,
            "registry_heartbeat_seconds": 1,
            "internal_runtime_control_enabled": True,
            "shutdown_grace_seconds": 5,
        }
        command = ("agent_runtime.command.cli", "serve")
        return Service(name, command, project, self._log(name), settings, f"http://127.0.0.1:{port}")

    def registry(self, port: int) -> Service:
        given = {"jamjet_port": port, **self._of_registry()}
        command = ("registry", "serve")
        return Service(
            "registry", command, self.directory, self._log("registry"), given, f"http://127.0.0.1:{port}"
        )

    def worker(self) -> Service:
        command = ("registry", "worker")
        given = self._of_registry()
        return Service("worker", command, self.directory, self._log("worker"), given, told="takes executions")

    def _of_registry(self) -> dict[str, object]:
        return {
            MARK: self.mark,
            "database_url": self._database("registry"),
            "postgres_pool_size": POOL_SIZE,
            "jamjet_dev_mode": True,
            "jamjet_worker_lease_seconds": LEASE_SECONDS,
            "shutdown_grace_seconds": 5,
        }

    def _database(self, name: str) -> str:
        return f"postgresql://postgres@127.0.0.1:{self.network.database.port}/{name}"

    def _log(self, name: str) -> Path:
        return self.directory / f"{name}.log"
