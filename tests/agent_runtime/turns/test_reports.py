"""Every turn ends with one line that says whose it was, with which model, what it cost, and why it failed."""

import logging
from pathlib import Path

import pytest

from tests.agents import running_agent, write_project

SOURCE = """
from langchain_core.messages import AIMessage
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langgraph.graph import START, MessagesState, StateGraph

async def ask(state: MessagesState):
    usage = {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10}
    answer = AIMessage("yes", usage_metadata=usage, response_metadata={"model_name": "fake-1"})
    model = GenericFakeChatModel(messages=iter([answer]), disable_streaming=True)
    answer = await model.ainvoke(state["messages"])
    if "fail" in state["messages"][-1].text:
        raise LookupError("no such room, password=swordfish")
    return {"messages": [answer]}

inner = StateGraph(MessagesState).add_node(ask).add_edge(START, "ask").compile()
graph = StateGraph(MessagesState).add_node("inner", inner).add_edge(START, "inner")
"""


async def test_every_turn_ends_with_a_line_that_says_what_it_was(
    database_url: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project = write_project(tmp_path / "project", SOURCE)
    with caplog.at_level(logging.INFO, logger="agent_runtime.turns.reports"):
        async with running_agent(project, database_url, a2a_tokens="ada=token-of-ada") as agent:
            for text in ("go", "fail"):
                await agent.send(text, token="token-of-ada", contextId="c1")
    done, failed = (record.getMessage() for record in caplog.records if record.name.endswith(".reports"))
    assert "thread_id=c1 caller=ada model=fake-1 input_tokens=7 output_tokens=3 tool_calls=0 duration_ms=" in done
    assert done.endswith("outcome=completed")
    assert "outcome=failed error=LookupError" in failed
    assert ".py:12 ask" in failed
