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
from tests.curl import Answer, examples, run_shell
from tests.processes import ROOT, agent_process, environment, registry_process
from tests.registry.executions.runs import REVIEW, start, until

PAGE = (ROOT / "docs" / "operations.md").read_text("utf-8")
SERVE = "agent-runtime serve"


async def test_a_backup_made_while_an_agent_runs_brings_its_conversations_back_elsewhere(
    data_directory: Path,
) -> None:
    first = write_project(data_directory / "first")
    said = await talk_and_back_up(first)
    second = shutil.copytree(first, data_directory / "second", ignore=shutil.ignore_patterns(".data", "*.log"))
    *restoring, serve = commands("Restore")
    assert serve == SERVE
    follow(restoring, second)
    async with agent_process(second) as agent, httpx.AsyncClient(base_url=agent.url, timeout=30) as http:
        assert await messages(http) == said
        await say(http, "And on it goes.")
        assert len(await messages(http)) == len(said) + 2


async def test_a_backup_moves_an_agent_to_another_server(data_directory: Path, empty_database_url: str) -> None:
    project = write_project(data_directory / "project")
    said = await talk_and_back_up(project)
    move_to(empty_database_url, project)
    async with (
        agent_process(project, postgres_dsn=empty_database_url) as agent,
        httpx.AsyncClient(base_url=agent.url, timeout=30) as http,
    ):
        assert await messages(http) == said
        await say(http, "And on it goes.")
        assert len(await messages(http)) == len(said) + 2


async def test_a_backup_made_while_a_registry_runs_lets_its_executions_go_on_elsewhere(
    data_directory: Path,
) -> None:
    (first := data_directory / "first").mkdir()
    async with registry_process(first) as registry:
        *_, token = follow(["registry tokens create --role operator"], first)[0].text.splitlines()
        bearer = {"Authorization": f"Bearer {token}"}
        async with httpx.AsyncClient(base_url=registry.url, headers=bearer, timeout=30) as http:
            execution_id = await start(http, REVIEW, amount=7)
            await until(http, execution_id, "paused")
            follow(commands("Backup of a registry"), first)
            await decide(http, execution_id, "rejected")
        *_, verified_since = follow(["registry audit verify"], first)
    second = data_directory / "second"
    second.mkdir()
    for name in ("backup.dump", "backup.head"):
        shutil.copy(first / name, second)
    *restoring, serve = commands("Restore of a registry")
    assert serve == "registry serve"
    *_, restored = follow(restoring, second)
    assert head(restored) == (second / "backup.head").read_text().strip()
    async with (
        registry_process(second) as registry,
        httpx.AsyncClient(base_url=registry.url, headers=bearer, timeout=30) as http,
    ):
        [lost] = in_shell([f"registry audit verify --expect {head(verified_since)}"], second)
        assert (await until(http, execution_id, "paused"))["status"] == "paused"
        assert (await decide(http, execution_id, "approved"))["status"] == "completed"
    assert (lost.status, "BROKEN" in lost.text) == (1, True)


async def talk_and_back_up(project: Path) -> list[tuple[str, str]]:
    """What is in the backup, which is made while an agent runs that goes on for a bit."""
    async with agent_process(project) as agent, httpx.AsyncClient(base_url=agent.url, timeout=30) as http:
        await say(http, "My name is Ada.")
        said = await messages(http)
        follow(commands("Backup"), project)
        await say(http, "This is not in the backup any more.")
    return said


def move_to(dsn: str, directory: Path) -> None:
    [command] = re.findall(r"`(pg_restore --no-owner [^`]+)`", PAGE)
    *_, done = in_shell([*commands("The embedded server"), f"$BIN/{command}"], directory, postgres_dsn=dsn)
    before_17 = r'(.|\n)* parameter "transaction_timeout"\n.*\npg_restore: warning: errors ignored on restore: 1\n'
    assert done.status == 0 or re.fullmatch(before_17, done.text), done.text


def commands(title: str) -> list[str]:
    """Those of the section's first block, but for the client that waits for input."""
    section = re.split(rf"^#+ {title}$", PAGE, flags=re.MULTILINE)[1].split("\n## ")[0]
    [block, *_] = re.findall(r"(?:^    .+\n)+", section, flags=re.MULTILINE)
    shell = textwrap.indent(textwrap.dedent(block), "$ ", lambda line: not line.startswith("print("))
    found = [example.command for example in examples(shell)]
    return [command for command in found if not command.startswith("$BIN/psql")]


def follow(steps: Sequence[str], directory: Path, **settings: str) -> list[Answer]:
    """Raises `AssertionError` with those that did not end with 0."""
    answers = in_shell(steps, directory, **settings)
    failed = [(step, answer) for step, answer in zip(steps, answers, strict=True) if answer.status != 0]
    assert not failed
    return answers


def in_shell(steps: Sequence[str], directory: Path, **settings: str) -> list[Answer]:
    """In one shell, in which the environment that the distribution is installed in has been activated."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    return run_shell(steps, directory, environment(path=path, **settings))


async def say(http: httpx.AsyncClient, text: str) -> None:
    body: dict[str, Any] = {"jsonrpc": "2.0", "id": "1", "method": "SendMessage"}
    params = {"message": text_message(text, contextId="ada")}
    answer = await http.post("/", json=body | {"params": params}, headers={"A2A-Version": "1.0"})
    assert answer_text(answer.json()["result"]["task"])


async def messages(http: httpx.AsyncClient) -> list[tuple[str, str]]:
    answer = await http.get("/api/v1/memory/threads/ada/messages")
    return [(message["role"], message["content"]) for message in answer.json()["data"]["messages"]]


async def decide(http: httpx.AsyncClient, execution_id: str, decision: str) -> dict[str, Any]:
    """The execution, once it has ended with the decision."""
    answer = await http.post(f"/executions/{execution_id}/approve", json={"decision": decision})
    assert answer.status_code == 200, answer.text
    return await until(http, execution_id)


def head(verified: Answer) -> str:
    """What `registry audit verify` says of where the one chain ends."""
    found = re.fullmatch(r"default: \d+ entr(?:y|ies), whole; head (\d+:[0-9a-f]{64})\n", verified.text)
    assert found, verified.text
    return found[1]
