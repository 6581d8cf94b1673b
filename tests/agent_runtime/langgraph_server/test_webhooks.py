"""Where the end of a run is told."""

import asyncio
from typing import Any

import pytest
from langgraph_sdk import get_client
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import UnprocessableEntityError

from agent_runtime.langgraph_server import webhooks
from tests.agent_runtime.a2a_server.test_push import Receiver, receiving
from tests.agent_runtime.langgraph_server.conftest import GRAPH
from tests.agent_runtime.langgraph_server.test_runs import said, thread_of
from tests.agents import Agent, running_agent, write_project

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def told(receiver: Receiver, times: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(10):
        while len(receiver.got) < times:
            await asyncio.sleep(0.02)
    return [body for _, body in receiver.got]


async def test_a_webhook_hears_what_a_run_has_come_to(
    agent: Agent, client: LangGraphClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhooks, "FIRST_PAUSE_SECONDS", 0.02)
    thread = await thread_of(client)
    async with receiving(answers=[503]) as receiver:
        await client.runs.wait(thread, "agent", input=said("hello you"), webhook=receiver.url)
        (ended,) = await told(receiver, 1)
        await client.runs.wait(thread, "agent", input=said("fail x"), webhook=receiver.url, raise_error=False)
        await client.runs.wait(None, "agent", input=said("hello nobody"), webhook=receiver.url)
        _, failed, unseen = await told(receiver, 3)
    assert (ended["thread_id"], ended["status"], ended["kwargs"]["webhook"]) == (thread, "success", receiver.url)
    assert ended["values"]["messages"][-1]["content"] == "you"
    assert (failed["status"], failed["error"]["error"]) == ("error", "ValueError")
    assert unseen["values"]["messages"][-1]["content"] == "nobody"


async def test_a_place_that_may_not_be_called_is_refused(database_url: str, tmp_path: Any) -> None:
    directory = write_project(tmp_path, GRAPH)
    async with (
        running_agent(directory, database_url, deny_private_networks=True) as agent,
        get_client(url=agent.url, api_key=None) as client,
    ):
        for url in ("http://127.0.0.1:9/hook", "file:///etc/passwd", "https://localhost/hook"):
            with pytest.raises(UnprocessableEntityError, match="webhook: "):
                await client.runs.create(None, "agent", input=said("x"), webhook=url)
        assert await client.threads.count() == 0
