"""`docs/how-to/rotate-tokens.md`, followed to the letter: nobody is refused who should be let in."""

import asyncio
import os
import re
import shlex
from itertools import groupby
from pathlib import Path
from string import Template
from typing import Any

import httpx

from tests.agents import CHAT, write_project
from tests.processes import ROOT, agent_process, worker_process
from tests.registry.cli.commands import registry_command
from tests.registry.registries import Served

RECIPE = ROOT / "docs/how-to/rotate-tokens.md"


async def test_the_recipe_exchanges_every_token_while_all_goes_on(
    registry: Served, registry_dsn: str, database_url: str, tmp_path: Path
) -> None:
    (secrets := tmp_path / "secrets").mkdir()
    old = (await registry.http.post("/tokens", json={"role": "developer", "name": "my-agent"})).json()
    (secrets / "registry-token").write_text(old["token"])
    (secrets / "admin-tokens").write_text("ann=token-of-ann\n")
    (secrets / "agent-tokens").write_text("http://127.0.0.1:1=token-of-yesterday\n")
    agent_settings: dict[str, Any] = {
        "postgres_dsn": database_url,
        "registry_url": registry.url,
        "registry_heartbeat_seconds": 0.2,
        "registry_token_file": secrets / "registry-token",
        "admin_tokens_file": secrets / "admin-tokens",
    }
    worker_settings: dict[str, Any] = {
        "database_url": registry_dsn,
        "jamjet_agent_tokens_file": secrets / "agent-tokens",
    }
    async with (
        agent_process(write_project(tmp_path / "project", CHAT), **agent_settings) as agent,
        worker_process(tmp_path, "worker", **worker_settings) as worker,
        httpx.AsyncClient(base_url=f"{agent.url}/api/v1", timeout=30) as admin,
    ):
        await run_recipe(
            tmp_path,
            AGENT=str(agent.process.pid),
            REGISTRY=str(worker.process.pid),
            AGENT_URL=agent.url,
            OLD=old["token_id"],
            JAMJET_URL=registry.url,
            JAMJET_TOKEN=registry.token,
        )
        assert (await (await registry.client(old["token"])).get("/agents")).status_code == 401
        before = (await registry.http.get("/agents/test-agent")).json()["last_heartbeat"]
        async with asyncio.timeout(30):
            while (await registry.http.get("/agents/test-agent")).json()["last_heartbeat"] == before:
                await asyncio.sleep(0.1)
            while (await admin.get("/status", headers={"Authorization": "Bearer token-of-ann"})).is_success:
                await asyncio.sleep(0.1)
            while (await registry.http.get("/agents/test-agent/admin/status")).status_code != 200:
                await asyncio.sleep(0.1)
            while "tokens reread" not in worker.log.read_text():
                await asyncio.sleep(0.1)


async def run_recipe(directory: Path, **variables: str) -> None:
    """Run all commands of the page, one after the other; those of `registry` in this process, which takes a tenth
    of the time."""
    blocks = re.findall(r"^```bash\n(.*?)^```", RECIPE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    commands = "".join(blocks)
    assert (commands.count("kill -HUP"), commands.count("\nregistry ")) == (4, 5)
    for is_ours, lines in groupby(commands.splitlines(), lambda line: line.startswith("registry ")):
        if not is_ours:
            await run_shell(directory, "\n".join(lines), variables)
            continue
        for line in lines:
            await run_ours(directory, line, variables)


async def run_ours(directory: Path, line: str, variables: dict[str, str]) -> None:
    command, _, file = Template(line).substitute(variables).partition(" > ")
    settings = {name.lower(): value for name, value in variables.items()}
    done = await registry_command(*shlex.split(command)[1:], xdg_config_home=str(directory), **settings)
    assert done.exit_code == 0, done.stderr
    if file:
        (directory / file).write_text(done.stdout)


async def run_shell(directory: Path, commands: str, variables: dict[str, str]) -> None:
    shell = await asyncio.create_subprocess_exec(
        *("bash", "-euo", "pipefail", "-c", commands),
        cwd=directory,
        env={**os.environ, **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await shell.communicate()
    assert shell.returncode == 0, said.decode()
