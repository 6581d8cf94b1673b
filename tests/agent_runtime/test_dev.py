"""`agent-runtime dev`: code is reloaded when it is saved, and turns are shown."""

import asyncio
import json
from pathlib import Path
from typing import Any

from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient

from tests.agent_runtime.langgraph_server.test_runs import said
from tests.processes import ServiceProcess, agent_process

GRAPH = """
import asyncio
from pathlib import Path

from langchain_core.messages import AIMessage, ToolMessage
from langgraph.graph import START, MessagesState, StateGraph

HERE = Path(__file__).parent
WORD = "old"

async def answer(state: MessagesState):
    text = state["messages"][-1].text
    if text == "hold":
        (HERE / "begun").touch()
        while not (HERE / "go").exists():
            await asyncio.sleep(0.02)
    if text == "fail":
        raise LookupError("no such thing")
    call = {"name": "look", "args": {"at": text}, "id": "1"}
    return {"messages": [AIMessage("", tool_calls=[call]), ToolMessage("seen", tool_call_id="1"), AIMessage(WORD)]}

graph = StateGraph(MessagesState).add_node(answer).add_edge(START, "answer")
"""


async def ask(client: LangGraphClient, text: str) -> str:
    values: Any = await client.runs.wait(None, "agent", input=said(text))
    return str(values["messages"][-1]["content"])


async def shown(dev: ServiceProcess, text: str) -> None:
    async with asyncio.timeout(10):
        while text not in dev.log.read_text():
            await asyncio.sleep(0.02)


async def test_code_is_served_anew_when_it_is_saved_and_turns_end_on_the_old(
    tmp_path: Path, database_url: str
) -> None:
    file = tmp_path / "mind.py"
    (tmp_path / "langgraph.json").write_text(json.dumps({"graphs": {"agent": "./mind.py:graph"}}))
    file.write_text(GRAPH)
    async with (
        agent_process(tmp_path, command="dev", postgres_dsn=database_url) as dev,
        get_client(url=dev.url, api_key=None) as client,
    ):
        held = asyncio.create_task(ask(client, "hold"))
        async with asyncio.timeout(10):
            while not (tmp_path / "begun").exists():
                await asyncio.sleep(0.02)
        file.write_text(GRAPH.replace('"old"', '"new"'))
        await shown(dev, "code reloaded files=mind.py")
        assert await ask(client, "which?") == "new"
        await client.runs.wait(None, "agent", input=said("fail"), raise_error=False)
        file.write_text("def broken(:")
        await shown(dev, "mind.py, line 1")
        (tmp_path / "go").touch()
        assert await held == "old"
        assert await ask(client, "still?") == "new"
    log = dev.log.read_text()
    assert "calls look(at='which?')" in log
    assert "completed in" in log
    assert "mind.py:18 in answer: raise LookupError" in log
