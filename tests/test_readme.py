"""The tour: its commands as they stand there, on an agent that they have made, and their answers."""

import asyncio
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.curl import PRINTED_ADDRESS, blocks, compare_answers, examples, run_shell
from tests.processes import ROOT, agent_process, registry_process

README = (ROOT / "README.md").read_text("utf-8")
TOUR = (ROOT / "docs" / "tour.md").read_text("utf-8")
GRAPHS = (ROOT / "docs" / "graphs.md").read_text("utf-8")
SERVE = "agent-runtime serve"
PRINTED_REGISTRY = "http://127.0.0.1:7700"


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment of somebody who has activated the one that the distribution is installed in."""
    return {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}


@pytest.fixture
def project(data_directory: Path, environment: dict[str, str]) -> Path:
    *preparation, serve = blocks(TOUR, "bash")
    assert serve.strip() == SERVE
    answers = run_shell(preparation, data_directory, environment)
    assert [answer.status for answer in answers] == [0] * len(preparation), answers
    return data_directory / "my-agent"


async def test_every_command_of_the_tour_answers_as_is_shown(project: Path, environment: dict[str, str]):
    beside = project.with_name("registry")
    beside.mkdir()
    async with agent_process(project, agent_id="my-agent") as agent, registry_process(beside) as registry:
        text = TOUR.replace(PRINTED_ADDRESS, agent.url).replace(PRINTED_REGISTRY, registry.url)
        environment |= {"JAMJET_PORT": str(urlsplit(registry.url).port)}
        tour = [example for block in blocks(text, "console") for example in examples(block)]
        answers = await asyncio.to_thread(run_shell, [example.command for example in tour], project, environment)
    for example, answer in zip(tour, answers, strict=True):
        try:
            assert answer.status == 0
            if example.answer or answer.text:
                compare_answers(example.answer, answer.text)
        except (AssertionError, ValueError) as problem:
            logs = [service.log.read_text("utf-8")[-4000:] for service in (agent, registry)]
            raise AssertionError(
                f"$ {example.command}\n{answer.text[:2000]}\n{problem}\n\n{logs[0]}\n\n{logs[1]}"
            ) from None


def test_the_lines_that_mount_the_admin_api_are_those_of_the_example():
    example = (ROOT / "examples" / "mount_on_your_own_app.py").read_text("utf-8")
    (lines,) = [block for block in blocks(GRAPHS, "python") if "admin_router" in block]
    written = [line.strip() for line in example.splitlines()]
    assert [line for line in lines.splitlines() if line not in written] == []


def test_the_quickstart_is_the_beginning_of_the_tour():
    assert blocks(README, "bash") == [block for block in blocks(TOUR, "bash") if block in blocks(README, "bash")]
    shown = [example for block in blocks(README, "console") for example in examples(block)]
    assert len(shown) == 3
    toured = [example for block in blocks(TOUR, "console") for example in examples(block)]
    assert [example for example in shown if example not in toured] == []
