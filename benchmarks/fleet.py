"""Some agents in one process, each with a database, a runtime and a registration of its own.

python -m benchmarks.fleet REGISTRY_URL AGENTS HEARTBEAT_SECONDS     # one JSON command per line; see `answer`
"""

import asyncio
import os
import sys
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import psutil

from agent_runtime.project.file import load_project
from agent_runtime.runtime import AgentRuntime, open_runtime
from agent_runtime.settings import AgentSettings
from benchmarks.subject import Command, answer_commands
from groundwork.postgres.embedded import open_throwaway

PROJECT = Path(__file__).parent / "following"


async def main(registry_url: str, number: int, heartbeat_seconds: float) -> None:
    project = load_project(PROJECT)
    async with AsyncExitStack() as stack:
        dsn = await stack.enter_async_context(open_throwaway())
        agents = []
        for index in range(number):
            settings = AgentSettings(
                _env_file=None,
                agent_id=f"agent-{os.getpid()}-{index}",
                postgres_dsn=dsn,
                postgres_pool_size=2,
                registry_url=registry_url,
                registry_heartbeat_seconds=heartbeat_seconds,
                shutdown_grace_seconds=1,
            )
            opening = open_runtime(settings, project, public_url=f"http://127.0.0.1:9/{index}")
            agents.append(await stack.enter_async_context(opening))

        async def answer(command: Command) -> Any:
            return await _answer(agents, command)

        await answer_commands(answer)


async def _answer(agents: list[AgentRuntime], command: Command) -> Any:
    """`{"do": "await", "slot": 1, "version": 2}`: returns when every agent has that version there.
    `{"do": "reload"}`: a reload of the first agent, and how many components have failed.
    `{"do": "count"}`: what is open."""
    match command["do"]:
        case "await":
            await _all_have(agents, command["slot"], command["version"])
            return None
        case "reload":
            return len((await agents[0].components.reloads.reload()).failed)
    await asyncio.sleep(2)  # what has been told to go is given the time to do so
    own = psutil.Process()
    return {"tasks": len(asyncio.all_tasks()), "children": len(own.children()), "files": own.num_fds()}


async def _all_have(agents: list[AgentRuntime], slot: int, version: int | None) -> None:
    while any(agent.components.live.current.pieces[slot].version != version for agent in agents):  # noqa: ASYNC110
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3])))
