import re
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from scaffold.plan import Template
from tests.curl import PRINTED_ADDRESS, blocks, events, run_shell
from tests.processes import ServiceProcess, agent_process
from tests.scaffold.project import environment, new_agent

every_template = pytest.mark.parametrize("template", list(Template))


@pytest.fixture
def project(tmp_path: Path, template: Template) -> Path:
    directory = tmp_path / "ein Projekt"
    done = new_agent("my-agent", "--template", template, "--dir", str(directory))
    assert done.returncode == 0, done.stderr
    return directory


@every_template
def test_its_own_tests_pass_as_generated(project: Path):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    # Without the plugins that are here for other tests, as where a user has made an environment for the project.
    alone = environment() | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=project, env=alone, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
async def agent(project: Path, database_url: str) -> AsyncIterator[ServiceProcess]:
    """With a database of the tests' server, which saves the time to make another one."""
    opened = agent_process(project, agent_id=None, memory_backend="postgres", postgres_dsn=database_url)
    async with opened as agent:
        yield agent


@every_template
async def test_the_curl_lines_of_its_readme_work(project: Path, agent: ServiceProcess):
    commands = curl_lines((project / "README.md").read_text("utf-8").replace(PRINTED_ADDRESS, agent.url))
    assert len(commands) == 12
    for command, answer in zip(commands, run_shell(commands, project), strict=True):
        assert answer.status == 0, f"{command}\n{answer.text}"
        assert all(event.get("success", "result" in event) for event in events(answer.text)), answer.text


def curl_lines(readme: str) -> list[str]:
    found = re.findall(
        r"^curl .*?(?=^curl |^#|\Z|^[a-z])", "".join(blocks(readme, "sh")), re.MULTILINE | re.DOTALL
    )
    return [line.replace("curl", "curl -sS --fail-with-body", 1) for line in found]
