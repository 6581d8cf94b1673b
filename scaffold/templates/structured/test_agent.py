"""Talks to the agent over A2A while it runs as `agent-runtime serve` would, with the offline model."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_runtime.testing import AgentUnderTest, running_agent


@pytest.fixture(scope="module")
def agent() -> Iterator[AgentUnderTest]:
    with running_agent(Path(__file__).parent) as agent:
        yield agent


def test_a_message_becomes_a_ticket(agent: AgentUnderTest):
    answer = agent.ask("The printer is broken, high priority")
    assert answer.state == "completed"
    assert answer.data == [
        {"title": "The printer is broken, high priority", "priority": "high", "people_affected": 1}
    ]


def test_the_ticket_comes_with_a_sentence(agent: AgentUnderTest):
    assert "Noted with low priority: No coffee" in agent.ask("title: No coffee, priority: low").text


def test_fields_can_be_named(agent: AgentUnderTest):
    (ticket,) = agent.ask("title: No network; people affected: 12").data
    assert ticket == {"title": "No network", "priority": "normal", "people_affected": 12}


def test_what_makes_no_valid_ticket_is_refused_and_explained(agent: AgentUnderTest):
    answer = agent.ask("title: No network; people affected: 0")
    assert answer.state == "rejected"
    assert "people_affected" in answer.text
    assert answer.data == []
