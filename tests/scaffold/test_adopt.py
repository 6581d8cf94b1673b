"""`scaffold adopt`, as a user would run it."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent_runtime.project.file import load_project
from agent_runtime.project.langgraph_json import set_environment, store_index_of
from tests.scaffold.project import environment

GRAPHS = {
    "chat": {"path": "./src/agent.py:graph", "description": 'Says "hi" \u007f 😀.'},
    "other-one": "./b.py:make",
}


def adopt(directory: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "scaffold.cli", "adopt"]
    return subprocess.run(command, cwd=directory, env=environment(), capture_output=True, text=True, check=False)


def everything_in(directory: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_it_writes_one_file_that_serves_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = {
        "graphs": GRAPHS,
        "dependencies": [".", "./libs"],
        "env": {"ADOPTED": "yes"},
        "store": {"index": {"dims": 3, "embed": "a:b"}},
    }
    (tmp_path / "libs").mkdir()
    (tmp_path / "langgraph.json").write_text(json.dumps(document))
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "x"\nversion = "2.5.0"\n')
    alone, before = load_project(tmp_path), everything_in(tmp_path)
    done = adopt(tmp_path)
    assert done.returncode == 0, done.stderr
    assert {**everything_in(tmp_path), "agent.toml": b""} == {**before, "agent.toml": b""}
    adopted = load_project(tmp_path)
    same = ("graph", "graph_name", "others", "paths", "store_index")
    assert [getattr(adopted, name) for name in same] == [getattr(alone, name) for name in same]
    assert (adopted.card.name, adopted.card.version) == ("chat", "2.5.0")
    assert adopted.card.description == alone.card.description
    assert load_project(tmp_path, graph="other-one").graph == "./b.py:make"
    assert store_index_of(tmp_path) == {"dims": 3, "embed": "a:b"}
    monkeypatch.setenv("ADOPTED", "")
    monkeypatch.delenv("ADOPTED")
    set_environment(tmp_path)
    assert environment()["ADOPTED"] == "yes"

    again = adopt(tmp_path)
    assert (again.returncode, "is there already" in again.stderr) == (1, True)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        (None, "there is no langgraph.json"),
        ("{", "cannot be read"),
        ("{}", "graphs: should name at least one graph"),
        ('{"graphs": {"a": "./a.ts:graph"}}', "graphs.a: './a.ts:graph' is not file.py:attribute"),
    ],
)
def test_what_is_no_such_project_is_left_alone(tmp_path: Path, written: str | None, said: str) -> None:
    if written is not None:
        (tmp_path / "langgraph.json").write_text(written)
    before = everything_in(tmp_path)
    done = adopt(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert said in done.stderr
    assert everything_in(tmp_path) == before
