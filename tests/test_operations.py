"""What the operations page tells to do, done as it stands there."""

import os
import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from tests.agents import answer_text, text_message, write_project
from tests.curl import examples, run_shell
from tests.processes import ROOT, agent_process

PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
SERVE = "agent-runtime serve"


async def test_a_backup_made_while_an_agent_runs_brings_its_conversations_back_elsewhere(
    data_directory: Path,
) -> None:
    first = write_project(data_directory / "first")
    async with agent_process(first) as agent, httpx.AsyncClient(base_url=agent.url, timeout=30) as http:
        await say(http, "My name is Ada.")
        said = await messages(http)
        follow([*commands("The embedded server"), *commands("Backup")], first)
        await say(http, "This is not in the backup any more.")
    second = shutil.copytree(first, data_directory / "second", ignore=shutil.ignore_patterns(".data", "*.log"))
    *restoring, serve = commands("Restore")
    assert serve == SERVE
    follow([*commands("The embedded server"), *restoring], second)
    async with agent_process(second) as agent, httpx.AsyncClient(base_url=agent.url, timeout=30) as http:
        assert await messages(http) == said
        await say(http, "And on it goes.")
        assert len(await messages(http)) == len(said) + 2


def commands(title: str) -> list[str]:
    """Those of the section's first block, but for the client that waits for input."""
    section = re.split(rf"^#+ {title}$", PAGE, flags=re.MULTILINE)[1].split("\n## ")[0]
    [block, *_] = re.findall(r"(?:^    .+\n)+", section, flags=re.MULTILINE)
    shell = textwrap.indent(textwrap.dedent(block), "$ ", lambda line: not line.startswith("print("))
    found = [example.command for example in examples(shell)]
    return [command for command in found if not command.startswith("$BIN/psql")]


def follow(steps: Sequence[str], directory: Path) -> None:
    """In one shell, in which the environment that the distribution is installed in has been activated."""
    if os.geteuid() == 0:
        steps = [step.replace("$BIN/pg_ctl", "runuser -u pgserver -- $BIN/pg_ctl") for step in steps]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    answers = run_shell(steps, directory, {**os.environ, "PATH": path})
    failed = [(step, answer) for step, answer in zip(steps, answers, strict=True) if answer.status != 0]
    assert not failed


async def say(http: httpx.AsyncClient, text: str) -> None:
    body: dict[str, Any] = {"jsonrpc": "2.0", "id": "1", "method": "SendMessage"}
    params = {"message": text_message(text, contextId="ada")}
    answer = await http.post("/", json=body | {"params": params}, headers={"A2A-Version": "1.0"})
    assert answer_text(answer.json()["result"]["task"])


async def messages(http: httpx.AsyncClient) -> list[tuple[str, str]]:
    answer = await http.get("/api/v1/memory/threads/ada/messages")
    return [(message["role"], message["content"]) for message in answer.json()["data"]["messages"]]
