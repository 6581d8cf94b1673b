import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent_runtime.testing import AgentUnderTest, running_agent
from scaffold.plan import Template
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
    done = subprocess.run(command, cwd=project, env=environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def agent(project: Path) -> Iterator[AgentUnderTest]:
    with running_agent(project, PYTHONPATH=environment()["PYTHONPATH"]) as agent:
        yield agent


@every_template
def test_the_curl_lines_of_its_readme_work(project: Path, agent: AgentUnderTest):
    lines = curl_lines((project / "README.md").read_text())
    assert len(lines) == 12
    for line in lines:
        here = line.replace("http://127.0.0.1:8000/", f"{agent.url}/").replace(
            "curl", "curl -sS --fail-with-body", 1
        )
        done = subprocess.run(["bash", "-c", here], capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{here}\n{done.stdout}{done.stderr}"
        assert '"success":false' not in done.stdout
        assert '"error":{' not in done.stdout


def curl_lines(readme: str) -> list[str]:
    blocks = "".join(re.findall(r"^```sh\n(.*?)^```", readme, re.MULTILINE | re.DOTALL))
    return re.findall(r"^curl .*?(?=^curl |^#|\Z|^[a-z])", blocks, re.MULTILINE | re.DOTALL)
