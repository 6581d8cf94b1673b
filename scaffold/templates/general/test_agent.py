"""Talks to the agent over A2A while it runs as `agent-runtime serve` would, with the offline model."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_runtime.testing import AgentUnderTest, running_agent


@pytest.fixture(scope="module")
def agent() -> Iterator[AgentUnderTest]:
    with running_agent(Path(__file__).parent) as agent:
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
