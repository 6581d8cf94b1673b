"""`agent-runtime threads check` finds, before a deploy, what stored threads would not load as."""

import asyncio
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from agent_runtime.command.cli import app
from tests.agents import running_agent

GRAPH = """
from dataclasses import dataclass
from langgraph.graph import MessagesState, StateGraph
from pydantic import BaseModel

class Order(BaseModel):
    tea: str

@dataclass
class Seat:
    row: int

class State(MessagesState):
    order: Order
    seat: Seat

def note(state):
    return {"order": Order(tea=state["messages"][-1].text), "seat": Seat(row=3), "messages": [("ai", "noted")]}

graph = StateGraph(State).add_node(note).set_entry_point("note").compile()
"""

AGENT = 'graph = "orders_of_tea:graph"\n[card]\nname = "tea"\ndescription = "Takes orders."\n'


def write(directory: Path, text: str) -> Path:
    directory.mkdir(exist_ok=True)
    (directory / "orders_of_tea.py").write_text(text)
    (directory / "agent.toml").write_text(AGENT)
    return directory


def check(*arguments: str) -> tuple[int, list[str]]:
    result = CliRunner().invoke(app, ["threads", "check", *arguments], obj=frozenset())
    return result.exit_code, result.output.splitlines()


async def test_it_names_thread_step_and_class_of_what_the_new_code_does_not_load(
    tmp_path: Path, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = write(tmp_path / "tea", GRAPH)
    async with running_agent(project, database_url, "tea") as agent:
        await agent.ask("Assam")
        (thread,) = (await agent.http.get("/api/v1/memory/threads")).json()["data"]["threads"]
    monkeypatch.chdir(project)
    monkeypatch.setenv("POSTGRES_DSN", database_url)
    monkeypatch.setenv("AGENT_ID", "tea")
    assert await asyncio.to_thread(check, "--sample", "9") == (0, ["1 threads checked; nothing would not load."])

    write(project, GRAPH.replace("Order", "Purchase").replace("    row: int", "    row: int\n    column: str"))
    monkeypatch.delitem(sys.modules, "orders_of_tea")
    status, (order, seat, total) = await asyncio.to_thread(check)
    assert (status, total) == (1, "1 threads checked; 2 would not load.")
    place = f"{thread}: step 1: orders_of_tea."
    assert order == f"{place}Order: AttributeError: module 'orders_of_tea' has no attribute 'Order'"
    assert seat.startswith(f"{place}Seat: TypeError: ")
    assert "'column'" in seat
