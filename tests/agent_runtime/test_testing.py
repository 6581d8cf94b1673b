from pathlib import Path

import pytest

import agent_runtime
from agent_runtime.testing import AgentDidNotStart, running_agent

REPOSITORY = Path(agent_runtime.__file__).parents[1]


def test_an_agent_that_cannot_start_says_why_at_once(tmp_path: Path):
    with (
        pytest.raises(AgentDidNotStart, match=r"(?s)ended with status 2.*agent\.toml"),
        running_agent(tmp_path, PYTHONPATH=str(REPOSITORY)),
    ):
        pytest.fail("there is no project here")
