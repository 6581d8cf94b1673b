from pathlib import Path

import pytest

import agent_runtime
from agent_runtime.testing import AgentDidNotStart, running_agent
from tests.agents import CHAT, write_project

REPOSITORY = Path(agent_runtime.__file__).parents[1]


def test_an_agent_that_cannot_start_says_why_at_once(tmp_path: Path):
    with (
        pytest.raises(AgentDidNotStart, match=r"(?s)ended with status 2.*agent\.toml"),
        running_agent(tmp_path, PYTHONPATH=str(REPOSITORY)),
    ):
        pytest.fail("there is no project here")


def test_a_test_that_fails_shows_what_the_agent_has_logged(
    tmp_path: Path, database_url: str, capsys: pytest.CaptureFixture[str]
):
    fails = CHAT.replace('return {"messages"', 'raise RuntimeError("what went wrong")\n    return {"messages"')
    with running_agent(
        write_project(tmp_path, fails), PYTHONPATH=str(REPOSITORY), POSTGRES_DSN=database_url
    ) as agent:
        assert agent.ask("hello").state == "failed"
        assert "RuntimeError: what went wrong" in capsys.readouterr().err
