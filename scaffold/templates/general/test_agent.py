"""Talks to the agent over A2A while it runs as `agent-runtime serve` would, with the offline model."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_runtime.testing import AgentUnderTest, running_agent

# Tools that the tests add to a copy of the project: one has an effect, one asks a person, one refuses.
MORE_TOOLS = r'''

from pathlib import Path

from agent_runtime.graph import TurnRejected
from langgraph.types import interrupt


@tool
def pay(amount: int) -> str:
    """Pay an amount."""
    with Path(__file__).with_name("paid").open("a") as paid:
        paid.write(f"{amount}\n")
    return f"paid {amount}"


@tool
def book(room: str) -> str:
    """Book a room, once a person has agreed."""
    return f"{room} is booked" if interrupt(f"Book {room}?") == "yes" else f"{room} is free"


@tool
def refuse(reason: str) -> str:
    """Do not take the message on."""
    raise TurnRejected(reason)


TOOLS += [pay, book, refuse]
'''

NOT_COPIED = (".data", ".git", ".venv", "venv", "__pycache__")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    copy = tmp_path_factory.mktemp("agent") / "project"
    shutil.copytree(Path(__file__).parent, copy, ignore=shutil.ignore_patterns(*NOT_COPIED))
    with (copy / "graph.py").open("a") as graph:
        graph.write(MORE_TOOLS)
    return copy


@pytest.fixture(scope="module")
def agent(project: Path) -> Iterator[AgentUnderTest]:
    with running_agent(project) as agent:
        yield agent


def test_it_answers(agent: AgentUnderTest):
    answer = agent.ask("Good morning")
    assert answer.state == "completed"
    assert "Good morning" in answer.text


def test_it_remembers_the_conversation(agent: AgentUnderTest):
    first = agent.ask("My name is Ada.")
    assert "Ada" in agent.ask("What is my name?", first.context_id).text


def test_conversations_are_kept_apart(agent: AgentUnderTest):
    agent.ask("My name is Ada.")
    assert "Ada" not in agent.ask("What is my name?").text


def test_it_uses_its_tools(agent: AgentUnderTest):
    assert "5" in agent.ask('call add {"a": 2, "b": 3}').text


def test_a_tool_that_fails_does_not_end_the_conversation(agent: AgentUnderTest):
    answer = agent.ask('call add {"a": "two", "b": 3}')
    assert answer.state == "completed"
    assert "failed" in answer.text


def test_each_answer_reaches_the_call_that_asked_and_every_call_is_made_once(
    agent: AgentUnderTest, project: Path
):
    asked = agent.ask('call pay {"amount": 5}\ncall book {"room": "Turing"}\ncall book {"room": "Lovelace"}')
    assert asked.state == "input-required"
    assert "Book Turing?" in asked.text
    still_open = agent.ask("yes", task_id=asked.task_id)
    assert still_open.text == "Book Lovelace?"
    answer = agent.ask("no", task_id=asked.task_id)
    assert "Turing is booked" in answer.text
    assert "Lovelace is free" in answer.text
    assert (project / "paid").read_text() == "5\n"


def test_a_tool_can_reject_the_message(agent: AgentUnderTest):
    answer = agent.ask('call refuse {"reason": "not on Sundays"}')
    assert (answer.state, answer.text) == ("rejected", "not on Sundays")
