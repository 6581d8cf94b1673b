"""Commands about threads make no database, and say where they looked for one."""

import pytest
from typer.testing import CliRunner

from agent_runtime.command.cli import app


@pytest.mark.parametrize("command", ["adopt", "sweep"])
def test_nothing_is_made_in_a_directory_without_data(command, tmp_path, monkeypatch, empty_database_url):
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, ["threads", command], env={"AGENT_ID": "a", "POSTGRES_DSN": ""})
    assert (done.exit_code, done.stdout) == (2, "")
    assert f"looked in {tmp_path}/.data/postgres" in done.stderr
    assert not list(tmp_path.iterdir())
    environment = {"AGENT_ID": "a", "POSTGRES_DSN": empty_database_url}
    elsewhere = CliRunner().invoke(app, ["threads", command], env=environment)
    assert (elsewhere.exit_code, "`agent-runtime migrate`" in elsewhere.stderr) == (2, True)
