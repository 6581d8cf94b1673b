"""The steps of a conversation, as the admin API tells them."""

from pathlib import Path

import pytest

from tests.agents import SCRIPTED, running_agent, write_project

IN_DELTAS = (
    SCRIPTED.replace("START, MessagesState, StateGraph", "START, StateGraph")
    .replace("MessagesState", "Conversation")
    .replace("import Data, File", "import Conversation, Data, File")
)


@pytest.mark.parametrize("source", [SCRIPTED, IN_DELTAS])
async def test_each_step_tells_what_it_changed_and_the_state_after_it(
    tmp_path: Path, database_url: str, source: str
) -> None:
    steps = "/api/v1/memory/threads/c/steps"
    async with running_agent(write_project(tmp_path, source), database_url) as agent:
        await agent.ask("say one", "c")
        await agent.send("ask which", contextId="c")
        page = (await agent.http.get(f"{steps}?limit=3")).json()["data"]
        waits, given, answered = page["steps"]
        assert (waits["next"], waits["asked"], waits["step"]) == (["answer"], ["which"], 3)
        assert waits["changed"] == [{"channel": "messages", "value": [{"role": "human", "content": "ask which"}]}]
        assert (given["source"], answered["nodes"]) == ("input", ["answer"])
        assert answered["changed"][0]["value"] == [{"role": "ai", "content": "one"}]
        earlier = (await agent.http.get(f"{steps}?before={page['next_before']}")).json()["data"]
        assert ([step["step"] for step in earlier["steps"]], earlier["next_before"]) == ([0, -1], None)
        state = (await agent.http.get(f"{steps}/{answered['checkpoint_id']}")).json()["data"]["values"]
        assert [message["content"] for message in state["messages"]] == ["say one", "one"]
        missing = await agent.http.get(f"{steps}/nothing")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "STEP_NOT_FOUND")
