"""A run on one process, followed and taken over by another."""

import json
from pathlib import Path
from typing import Any
from uuid import uuid4

from langgraph_sdk import get_client

from tests.agent_runtime.turns.test_crash import TWO_STEPS
from tests.agents import CHAT, running_agent
from tests.processes import agent_process


def write_graphs(directory: Path, **sources: str) -> Path:
    """A LangGraph project with these graphs, the first of which answers A2A."""
    mark = uuid4().hex[:8]
    for name, source in sources.items():
        (directory / f"{name}_{mark}.py").write_text(source)
    graphs = {name: f"./{name}_{mark}.py:graph" for name in sources}
    (directory / "langgraph.json").write_text(json.dumps({"graphs": graphs}))
    return directory


async def test_a_run_of_a_killed_process_is_followed_to_its_end_on_another(
    tmp_path: Path, database_url: str
) -> None:
    directory = write_graphs(tmp_path, chat=CHAT, steps=TWO_STEPS)
    settings: Any = {"checkpoint_durability": "sync", "turn_lease_seconds": 1}
    async with agent_process(directory, agent_id="test-agent", postgres_dsn=database_url, **settings) as doomed:
        async with get_client(url=doomed.url, api_key=None) as client:
            thread = (await client.threads.create())["thread_id"]
            asked: Any = {"messages": [{"role": "user", "content": "go"}]}
            run = await client.runs.create(thread, "steps", input=asked, stream_mode="updates", after_seconds=1)
        async with (
            running_agent(directory, database_url, **settings) as heir,
            get_client(url=heir.url, api_key=None) as client,
        ):
            parts = client.runs.join_stream(thread, run["run_id"], last_event_id="-1")
            nodes = [next(iter(part.data)) async for part in parts if part.event == "updates"]
            values: Any = await client.runs.join(thread, run["run_id"])
    assert nodes[-1] == "second"
    assert [message["content"] for message in values["messages"]] == ["go", "half", "whole"]
    assert (tmp_path / "journal").read_text() == "first\n"
