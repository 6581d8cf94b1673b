"""Agents as processes of their own, for tests that kill them."""

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
class AgentProcess:
    """`agent-runtime serve` in a directory, ready to be spoken to."""

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


def agent_environment(**settings: object) -> dict[str, str]:
    """The environment of a served agent: nothing of this shell's settings, and the repository's packages."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return kept | {"PYTHONPATH": str(ROOT)} | {name.upper(): str(value) for name, value in settings.items()}


@asynccontextmanager
async def agent_process(directory: Path, **settings: object) -> AsyncIterator[AgentProcess]:
    """Starts an agent and waits until it is ready; ends it with the block if it still runs."""
    port = free_port()
    log = directory / f"agent-{port}.log"
    given = {"agent_id": "test-agent", "turn_lease_seconds": 1, "shutdown_grace_seconds": 5} | settings
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "agent_runtime.cli", "serve"],
            cwd=directory,
            env=agent_environment(**given, port=port),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    agent = AgentProcess(f"http://127.0.0.1:{port}", process, log)
    try:
        await _ready(agent)
        yield agent
    finally:
        if process.poll() is None:
            agent.terminate()


async def _ready(agent: AgentProcess, timeout: float = 30) -> None:
    deadline = asyncio.get_running_loop().time() + timeout
    async with httpx.AsyncClient() as http:
        while asyncio.get_running_loop().time() < deadline:
            if agent.process.poll() is not None:
                break
            try:
                if (await http.get(f"{agent.url}/readyz")).status_code == 200:
                    return
            except httpx.TransportError:
                await asyncio.sleep(0.05)
    raise AssertionError(f"the agent did not come up:\n{agent.log.read_text()}")
