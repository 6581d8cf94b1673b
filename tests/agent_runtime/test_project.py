"""`agent.toml` and the graph it names: what is read, and that every mistake is one line that helps."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from langgraph.pregel import Pregel

from agent_runtime.errors import BadProject
from agent_runtime.project.file import Project, Skill, load_project
from agent_runtime.project.graph import open_graphs

SMALLEST = """
graph = "graph:graph"

[card]
name = "tester"
description = "Is tested."
"""

GRAPH = """
from langgraph.graph import START, MessagesState, StateGraph

def answer(state):
    return {"messages": ["hi"]}

graph = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer")
"""


@pytest.fixture(autouse=True)
def same_modules_afterwards() -> Iterator[None]:
    path, modules = list(sys.path), set(sys.modules)
    yield
    sys.path[:] = path
    for name in set(sys.modules) - modules:
        del sys.modules[name]


def write(directory: Path, toml: str = SMALLEST, graph: str = GRAPH) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "agent.toml").write_text(dedent(toml))
    (directory / "graph.py").write_text(dedent(graph))
    return directory


def load(directory: Path, more: str = "", **environment: str) -> Project:
    return load_project(write(directory, SMALLEST + dedent(more)), environment)


def mistake(directory: Path, more: str = "", **environment: str) -> str:
    with pytest.raises(BadProject) as caught:
        load(directory, more, **environment)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith("agent.toml: ")
    return message.removeprefix("agent.toml: ")


def load_graph(project: Project) -> Pregel[Any, Any, Any, Any]:
    async def opened() -> Pregel[Any, Any, Any, Any]:
        async with open_graphs(project) as graphs:
            return graphs.default.graph

    return asyncio.run(opened())


def graph_mistake(directory: Path, graph: str, name: str = "graph:graph") -> str:
    write(directory, SMALLEST.replace("graph:graph", name), graph)
    with pytest.raises(BadProject) as caught:
        load_graph(load_project(directory))
    return str(caught.value)


def test_the_smallest_project(tmp_path: Path) -> None:
    project = load(tmp_path)
    assert project.graph == "graph:graph"
    assert project.directory == tmp_path.resolve()
    assert (project.card.name, project.card.version) == ("tester", "0.1.0")
    assert project.card.default_input_modes == ()
    assert (project.mcp, project.peers, project.secrets) == ({}, {}, ())


def test_everything_a_project_can_say(tmp_path: Path) -> None:
    project = load(
        tmp_path,
        """
        version = "2.0"
        default_output_modes = ["text/plain", "application/json"]
        [[card.skills]]
        id = "chat"
        name = "Chat"
        description = "Talks."
        tags = ["a", "b"]
        examples = ["Hello?"]

        [mcp.weather]
        url = "https://${HOST}/mcp"
        headers = { Authorization = "Bearer ${KEY}" }
        [mcp.files]
        command = "python"
        args = ["server.py", "--key=${KEY}"]
        env = { LEVEL = "high" }

        [a2a.researcher]
        url = "http://127.0.0.1:8001"
        token = "${TOKEN}"
        """,
        HOST="weather.example",
        KEY="canary-key",
        TOKEN="canary-token",
    )
    assert project.card.skills == (Skill("chat", "Chat", "Talks.", ("a", "b"), ("Hello?",)),)
    weather, files = project.mcp["weather"], project.mcp["files"]
    assert weather.url == "https://weather.example/mcp"
    assert weather.headers == {"Authorization": "Bearer canary-key"}
    assert (files.command, files.args) == ("python", ("server.py", "--key=canary-key"))
    assert (files.env, files.cwd) == ({"LEVEL": "high"}, tmp_path.resolve())
    assert project.peers["researcher"].token == "canary-token"
    assert {"canary-key", "canary-token"} <= set(project.secrets)
    assert "weather.example" not in project.secrets
    assert "canary" not in repr(project)


def test_variables_come_from_the_projects_env_file_and_the_environment_wins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, SMALLEST + '[mcp.m]\nurl = "http://${FROM_FILE}/${FROM_BOTH}"\n')
    (tmp_path / ".env").write_text("FROM_FILE=file\nFROM_BOTH=file\n")
    monkeypatch.setenv("FROM_BOTH", "environment")
    assert load_project(tmp_path).mcp["m"].url == "http://file/environment"


def test_a_literal_dollar_brace_is_written_with_two_dollars(tmp_path: Path) -> None:
    project = load(tmp_path, '[mcp.m]\ncommand = "c"\nargs = ["$${HOME}", "$5"]')
    assert project.mcp["m"].args == ("${HOME}", "$5")


@pytest.mark.parametrize(
    ("toml", "message"),
    [
        ('[mcp.m]\nurl = "${NOPE}"', "mcp.m.url: NOPE is not set"),
        ('[mcp.m]\nurl = "http://a"\nheaders = { A = "${NOPE}" }', "mcp.m.headers.A: NOPE is not set"),
        ('[mcp.m]\ncommand = "c"\nargs = ["a", "${NOPE}"]', "mcp.m.args[1]: NOPE is not set"),
        ('[a2a.p]\nurl = "http://a"\ntoken = "${NOPE}"', "a2a.p.token: NOPE is not set"),
        ('[a2a.p]\nurl = "http://${not a name}"', "a2a.p.url: '${not a name}' is not ${NAME}"),
        ('[a2a.p]\nurl = "http://${OPEN"', "a2a.p.url: '${OPEN' is not ${NAME}"),
        ("verison = '1'", "card.verison: is not known here; accepted are"),
        ("verison = '1'", "did you mean 'version'?"),
        ("version = 1", "card.version: must be a string, not an integer"),
        ("version = ' '", "card.version: is empty"),
        ("default_input_modes = []", "card.default_input_modes: is empty"),
        ("default_input_modes = ['text']", "card.default_input_modes: 'text' is not a media type"),
        ("skills = 5", "card.skills: must be an array of tables, written [[card.skills]], not an integer"),
        ("[[card.skills]]\nid = 'a'", "card.skills[0].name: is missing"),
        (
            "[[card.skills]]\nid='a'\nname='A'\ndescription='d'\ntags=['x', 1]",
            "card.skills[0].tags[1]: must be a string, not an integer",
        ),
        ("[[card.skills]]\nid='a'\nname='A'\ndescription='d'\n" * 2, "card.skills: the id 'a' is used twice"),
        ("[mcp]\nweather = 'http://a'", "mcp.weather: must be a table, not a string"),
        ("[mcp.m]", "mcp.m: needs either url (streamable HTTP) or command (stdio), and not both"),
        ("[mcp.m]\nurl = 'http://a'\ncommand = 'c'", "mcp.m: needs either url"),
        (
            "[mcp.m]\nurl = 'http://a'\nargs = []",
            "mcp.m.args: is not known here; accepted are command, component, headers, timeout_seconds, url",
        ),
        ("[mcp.m]\ncommand = 'c'\nheaders = {}", "mcp.m.headers: is not known here"),
        ("[mcp.m]\ncommand = 'c'\ncwd = 'nowhere'", "mcp.m.cwd: there is no directory"),
        ("[mcp.m]\ncommand = 'c'\nenv = { A = 1 }", "mcp.m.env.A: must be a string, not an integer"),
        (
            "[mcp.m]\nurl = 'http://a'\ntimeout_seconds = 0",
            "mcp.m.timeout_seconds: must be a number from 0.1 to 86400",
        ),
        ("[a2a.p]\nurl = 'http://a'\ntimeout_seconds = true", "a2a.p.timeout_seconds: must be a number from 0.1"),
        ("[mcp.m]\nurl = 'ftp://a'", "mcp.m.url: must be an absolute http or https URL with a host"),
        ("[mcp.m]\nurl = 'http://'", "mcp.m.url: must be an absolute"),
        ("[mcp.m]\nurl = 'http://a:99999'", "mcp.m.url: must be an absolute"),
        ("[mcp.m]\nurl = 'http://a/#b'", "mcp.m.url: must not have a fragment"),
        ("[mcp.m]\nurl = 'http://a'\nheaders = { 'A B' = 'c' }", "mcp.m.headers: 'A B' is not a header name"),
        ("[mcp.m]\nurl = 'http://a'\nheaders = { A = 'ü' }", "mcp.m.headers.A: must be printable ASCII"),
        ("[mcp.Weather]\nurl = 'http://a'", "mcp.Weather: the name begins tool names; accepted are"),
        (f"[a2a.{'x' * 41}]\nurl = 'http://a'", "the name begins tool names"),
        ("[a2a.p]", "a2a.p.url: is missing"),
        (
            "[a2a.p]\nurl = 'http://a'\nheaders = {}",
            "a2a.p.headers: is not known here; accepted are component, timeout_seconds, token, url",
        ),
        ("[mpc.m]\nurl = 'http://a'", "did you mean 'mcp'?"),
    ],
)
def test_a_mistake_names_the_field_and_what_is_accepted(tmp_path: Path, toml: str, message: str) -> None:
    assert message in mistake(tmp_path, toml)


def test_a_secret_is_not_repeated_in_a_mistake(tmp_path: Path) -> None:
    assert "canary" not in mistake(tmp_path, "[mcp.m]\nurl = '${SECRET}'", SECRET="canary")


def test_a_missing_or_broken_file_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(BadProject, match=r"agent\.toml: there is no such file"):
        load_project(tmp_path)
    (tmp_path / "agent.toml").write_text("graph = \n")
    with pytest.raises(BadProject, match=r"agent\.toml: is not valid TOML: .*line 1"):
        load_project(tmp_path)
    (tmp_path / "agent.toml").write_bytes(b"\xff")
    with pytest.raises(BadProject, match="is not UTF-8"):
        load_project(tmp_path)
    (tmp_path / "agent.toml").write_text("graph = 'graph'\n[card]\n")
    with pytest.raises(BadProject, match="graph: 'graph' is not module:attribute"):
        load_project(tmp_path)


def test_a_graph_in_a_package_imports_its_neighbours(tmp_path: Path) -> None:
    write(tmp_path, SMALLEST.replace("graph:graph", "agent_package.flow:graph"))
    package = tmp_path / "agent_package"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "flow.py").write_text("from .parts import graph\n")
    (package / "parts.py").write_text(GRAPH)
    assert "answer" in load_graph(load_project(tmp_path)).nodes


def test_two_projects_with_modules_of_one_name_are_kept_apart(tmp_path: Path) -> None:
    first, second = write(tmp_path / "first"), write(tmp_path / "second", graph=GRAPH.replace("answer", "reply"))
    assert "answer" in load_graph(load_project(first)).nodes
    assert "reply" in load_graph(load_project(second)).nodes


def test_what_a_project_lacks_is_named_with_the_command_that_installs_it(tmp_path: Path) -> None:
    write(tmp_path, graph="import helper")
    (tmp_path / "helper.py").write_text("\nimport react_agent.tools\n")
    (tmp_path / "pyproject.toml").touch()
    found = graph_mistake(tmp_path, "import helper")
    assert "needs 'react_agent', which is not installed (helper.py:2); pip install -e . installs" in found


@pytest.mark.parametrize("line", ["1/0", "from json import nothing", "def x(:"])
def test_a_mistake_in_a_helper_module_is_named_with_its_file_and_line(tmp_path: Path, line: str) -> None:
    (tmp_path / "helper.py").write_text(f"import json\n{line}\n")
    assert graph_mistake(tmp_path, "import helper").endswith(" (helper.py:2)")


def test_of_several_graphs_one_is_served(tmp_path: Path) -> None:
    several = SMALLEST.replace('graph = "graph:graph"', "") + '\n[graphs]\na = "graph:a"\nb = "./src/b.py:b"\n'
    write(tmp_path, several + '[serve]\ngraph = "b"\nrecursion_limit = 9\n')
    assert load_project(tmp_path).graph == "./src/b.py:b"
    assert load_project(tmp_path, graph="a").graph == "graph:a"
    assert load_project(tmp_path).recursion_limit == 9
    write(tmp_path, several)
    with pytest.raises(BadProject, match=r"serve\.graph: say which one; accepted are a, b"):
        load_project(tmp_path)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ("graph = 5", "is a int; accepted are a LangGraph graph, compiled or not"),
        ("other = 5", "module 'graph' has no 'graph'"),
        ("1/0", "importing module 'graph' failed: ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "importing module 'graph' failed: SystemExit: 3"),
        ("def x(:", "importing module 'graph' failed: SyntaxError"),
        ("import no_such_package", "module 'graph' needs 'no_such_package', which is not installed"),
        ("def graph(a): pass", "needs the argument 'a'; accepted are config and runtime"),
        ("async def graph(): pass", "is a NoneType"),
        ("async def graph(): yield 1", "is a async_generator"),
        ("def graph(): return 5", "is a int"),
        ("def graph(): raise ValueError('oops')", "calling 'graph:graph' failed: ValueError: oops"),
        ("from langgraph.graph import *\ngraph = StateGraph(MessagesState)", "does not compile: ValueError"),
    ],
)
def test_a_graph_that_cannot_be_served_says_why(tmp_path: Path, graph: str, message: str) -> None:
    found = graph_mistake(tmp_path, graph)
    assert found.startswith("agent.toml: graph: ")
    assert message in found
    assert "Traceback" not in found


def test_a_module_that_is_not_there_is_named_with_its_directory(tmp_path: Path) -> None:
    found = graph_mistake(tmp_path, GRAPH, name="grpah:graph")
    assert f"there is no module 'grpah' in {tmp_path.resolve()}" in found
