"""Graphs that block the event loop: nobody takes their turns away, for as long as a turn may take."""

import logging
import re

import pytest

from tests.agents import answer_text
from tests.contract.test_metrics import metrics_of
from tests.strangers.serving import Serve, say, state_of

BLOCKS = """
import time

import psycopg
from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

def fetch_slowly(seconds):
    time.sleep(seconds)

async def look_up(state: MessagesState):
    fetch_slowly(float(state["messages"][-1].text))
    with psycopg.connect({dsn!r}) as conn:
        (alive,) = conn.execute("SELECT bool_and(lease_until > now()) FROM agent_processes").fetchone()
    return {{"messages": [AIMessage(f"alive: {{alive}}")]}}

graph = StateGraph(MessagesState)
graph.add_node(look_up)
graph.add_edge(START, "look_up")
"""


async def test_a_node_that_blocks_the_loop_keeps_its_lease_and_is_named(
    serve: Serve, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    agent = await serve(BLOCKS.format(dsn=database_url))
    with caplog.at_level(logging.WARNING):
        assert answer_text(await say(agent, "4")) == "alive: True"
    assert re.search(r"event loop blocked seconds=\S+ node=look_up at \S+\.py:9 in fetch_slowly", caplog.text)
    metrics = await metrics_of(agent.http)
    assert metrics["agent_event_loop_stalls"] >= 1
    assert metrics["agent_event_loop_stalled_seconds"] >= 1


async def test_a_loop_that_is_blocked_for_longer_than_a_turn_may_take_loses_its_lease(
    serve: Serve, database_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    agent = await serve(BLOCKS.format(dsn=database_url), max_turn_seconds=1)
    task = await say(agent, "5")
    assert (state_of(task), answer_text(task)) == ("failed", "")
    assert "lease left to expire, event loop blocked for too long lease='process lease'" in caplog.text
