"""A LangGraph project is served as it stands: `langgraph.json`, and nothing of ours in it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from agent_runtime.errors import BadProject
from agent_runtime.project.file import load_project
from agent_runtime.project.langgraph_json import set_environment
from groundwork.postgres.migrations import SchemaNotReady
from groundwork.postgres.pool import Pool
from tests.agents import running_agent

GRAPH = """
import os
from dataclasses import dataclass
from langgraph.graph import MessagesState, StateGraph
from langgraph.runtime import Runtime
from langgraph.store.memory import InMemoryStore
from shared_{mark}.words import SAID

async def remember(state: MessagesState, runtime: Runtime):
    *_, last = state["messages"]
    verb, _, rest = last.text.partition(" ")
    if verb == "note":
        await runtime.store.aput(("notes", "tea.time"[:3]), rest, {{"text": rest}})
        return {{"messages": [("ai", SAID + os.environ["{mark}"])]}}
    found = await runtime.store.asearch(("notes",))
    spaces = await runtime.store.alist_namespaces(prefix=("notes",))
    return {{"messages": [("ai", f"{{sorted(item.value['text'] for item in found)}} {{spaces}}")]}}

builder = StateGraph(MessagesState).add_node(remember).set_entry_point("remember")
graph = builder.compile(store=InMemoryStore())
"""


def write(directory: Path, mark: str, **more: Any) -> Path:
    package = directory / "src" / f"agent_{mark}"
    shared = directory / "libs" / f"shared_{mark}"
    for place in (package, shared):
        place.mkdir(parents=True)
        (place / "__init__.py").touch()
    (package / "graph.py").write_text(GRAPH.format(mark=mark))
    (shared / "words.py").write_text("SAID = 'noted '\n")
    (directory / "project.env").write_text(f"{mark}=from-a-file\n")
    document = {
        "dependencies": [".", "./libs", "langgraph>=0.2"],
        "graphs": {"keeper": {"path": f"./src/agent_{mark}/graph.py:graph", "description": "Keeps notes."}},
        "env": "project.env",
        "checkpointer": {"ttl": {}},
    }
    (directory / "langgraph.json").write_text(json.dumps(document | more))
    return directory


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    mark = f"P{os.urandom(4).hex()}"
    directory = write(tmp_path / "keeper", mark)
    monkeypatch.setenv(mark, "")
    monkeypatch.delenv(mark)
    set_environment(directory)
    return directory


async def test_it_answers_with_its_packages_environment_and_store(project: Path, database_url: str) -> None:
    async with (
        running_agent(project, database_url, "keeper") as keeper,
        running_agent(project, database_url, "keep") as other,
    ):
        assert await keeper.ask("note Earl Grey") == "noted from-a-file"
        assert await keeper.ask("recall") == "['Earl Grey'] [('notes', 'tea')]"
        assert await other.ask("recall") == "[] []"
        card = (await keeper.http.get("/.well-known/agent-card.json")).json()
        assert (card["name"], card["description"]) == ("keeper", "Keeps notes.")


async def test_what_it_stores_follows_the_agents_id_and_goes_with_all_that_is_the_agents(
    project: Path, database_url: str
) -> None:
    async with running_agent(project, database_url, "old") as old:
        await old.ask("note Assam")
    async with running_agent(project, database_url, "new") as new:
        await new.ask("note Assam")
        await new.ask("note Oolong")
        moving = {"old_id": "old", "new_id": "new", "force": True}
        assert (await new.http.post("/api/v1/memory/migrate-agent-id", json=moving)).json()["success"]
        assert await new.ask("recall") == "['Assam', 'Oolong'] [('notes', 'tea')]"
        erased = (await new.http.delete("/api/v1/memory/threads?all=true")).json()["data"]
        assert erased["also_deleted"]["store"] == 2
        assert await new.ask("recall") == "[] []"


def test_what_of_it_is_not_followed_is_said(project: Path) -> None:
    assert load_project(project).notes == (
        "checkpointer is not followed: conversations are kept in the agent's own database",
    )


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"graphs": {}}, "graphs: should name at least one graph"),
        ({"graphs": {"a": "./agent.ts:graph"}}, "graphs.a: './agent.ts:graph' is a graph in JavaScript"),
        ({"graphs": {"a": "agent"}}, "graphs.a: 'agent' is not file:attribute"),
        ({"dependencies": ["no-such-package-9"]}, "dependencies: no-such-package-9 is not installed; pip install"),
        ({"dependencies": ["./nowhere"]}, "dependencies: there is no directory './nowhere'"),
        ({"env": ["A=1"]}, "env: should be the path of a file, or an object"),
        ({"store": {"index": {"dims": "many"}}}, 'store.index: needs "dims"'),
    ],
)
def test_what_cannot_be_served_is_named_with_its_field(tmp_path: Path, wrong: dict[str, Any], said: str) -> None:
    directory = write(tmp_path, "M1", **wrong)
    with pytest.raises(BadProject) as refused:
        set_environment(directory) if "env" in wrong else load_project(directory)
    assert str(refused.value).startswith(f"langgraph.json: {said}")


def test_of_several_graphs_the_first_answers_unless_another_is_named(tmp_path: Path) -> None:
    directory = write(tmp_path, "M2", graphs={"one": "./a.py:graph", "two": "b:graph"})
    assert load_project(directory).card.name == "one"
    assert "'one' answers A2A; --graph says another one" in load_project(directory).notes[-1]
    assert load_project(directory, graph="two").graph == "b:graph"
    with pytest.raises(BadProject, match="there is no 'three'; accepted are one, two"):
        load_project(directory, graph="three")


async def test_a_database_without_the_store_is_not_ready(database_url: str, project: Path, pool: Pool) -> None:
    async with pool.connection() as conn:
        await conn.execute("DROP TABLE store CASCADE")
    with pytest.raises(SchemaNotReady, match="lacks LangGraph's store"):
        async with running_agent(project, database_url):
            pass
