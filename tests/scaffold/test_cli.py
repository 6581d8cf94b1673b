import os
import pty
import subprocess
from pathlib import Path

import pytest

from tests.scaffold.project import COMMAND, environment, new_agent


def env_of(directory: Path) -> str:
    return (directory / ".env").read_text()


def test_it_ends_with_the_commands_that_come_next(tmp_path: Path):
    done = new_agent("my-agent", cwd=tmp_path)
    assert done.returncode == 0
    commands = [line.strip() for line in done.stdout.splitlines() if line.startswith("    ")]
    assert commands == ["cd my-agent", "agent-runtime serve", "pytest"]
    assert (tmp_path / "my-agent/graph.py").exists()


def test_the_next_command_can_be_copied_whatever_the_directory(tmp_path: Path):
    done = new_agent("my-agent", "--dir", "è un/ein Projekt", cwd=tmp_path)
    assert "    cd 'è un/ein Projekt'\n" in done.stdout
    assert "AGENT_ID=my-agent" in env_of(tmp_path / "è un/ein Projekt")


def test_in_an_empty_directory_there_is_nowhere_to_go(tmp_path: Path):
    done = new_agent("my-agent", "--dir", ".", cwd=tmp_path)
    assert done.returncode == 0
    assert "cd " not in done.stdout


def test_template_and_registry_are_taken_from_the_command_line(tmp_path: Path):
    new_agent("a", "--template", "structured", "--registry", "http://r:7700", "--yes", cwd=tmp_path)
    assert "REGISTRY_URL=http://r:7700\n" in env_of(tmp_path / "a")
    assert "Ticket" in (tmp_path / "a/graph.py").read_text()


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["my agent"], 2, "how about my-agent?"),
        (["ägent"], 2, "how about aegent?"),
        ([], 2, "the name of the agent is missing"),
        (["a", "--registry", "r"], 2, "cannot be a registry's URL"),
        (["a", "--template", "fancy"], 2, "'general'"),
        (["a", "--dir", "taken"], 1, "is not empty"),
    ],
)
def test_what_cannot_be_done_is_said_without_asking_and_leaves_nothing(
    tmp_path: Path, arguments: list[str], status: int, complaint: str
):
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/file").write_text("mine")
    done = new_agent(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (status, "")
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file", "taken"]


def on_a_terminal(*arguments: str, typed: str, cwd: Path) -> tuple[int, str]:
    """Runs the command on a terminal on which `typed` is typed; the exit status and what the screen showed."""
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=environment(),
        stdin=its,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    os.write(ours, typed.encode())
    shown = b""
    try:
        while piece := os.read(ours, 4096):
            shown += piece
    except OSError:  # Linux answers EIO once the other side is closed
        pass
    finally:
        os.close(ours)
    return process.wait(60), shown.decode()


def test_on_a_terminal_it_asks_for_what_is_missing(tmp_path: Path):
    status, shown = on_a_terminal(typed="my agent\nmy-agent\nstructured\nhttp://r:7700\n", cwd=tmp_path)
    assert status == 0, shown
    assert "how about my-agent?" in shown
    assert "REGISTRY_URL=http://r:7700\n" in env_of(tmp_path / "my-agent")
    assert "Ticket" in (tmp_path / "my-agent/graph.py").read_text()


def test_on_a_terminal_what_is_given_is_not_asked_and_enter_takes_the_default(tmp_path: Path):
    status, shown = on_a_terminal("my-agent", typed="\n\n", cwd=tmp_path)
    assert status == 0, shown
    assert "Name of the agent" not in shown
    assert "REGISTRY_URL=\n" in env_of(tmp_path / "my-agent")


def test_yes_asks_nothing_on_a_terminal(tmp_path: Path):
    status, shown = on_a_terminal("my-agent", "--yes", typed="", cwd=tmp_path)
    assert status == 0, shown
    assert "Template" not in shown
