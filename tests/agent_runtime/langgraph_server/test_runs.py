"""Runs through the unmodified Python client of LangGraph."""

import asyncio
from typing import Any

import pytest
from langgraph_sdk.client import LangGraphClient
from langgraph_sdk.errors import ConflictError, NotFoundError, UnprocessableEntityError

from tests.agents import Agent

pytestmark = pytest.mark.asyncio(loop_scope="module")


def said(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


async def thread_of(client: LangGraphClient) -> str:
    return str((await client.threads.create())["thread_id"])


async def test_a_run_is_waited_for_and_leaves_its_state(client: LangGraphClient) -> None:
    thread = await thread_of(client)
    values: Any = await client.runs.wait(thread, "agent", input=said("hello you"))
    assert [message["content"] for message in values["messages"]] == ["hello you", "you"]
    assert values["steps"] == ["first", "hello"]
    assert (await client.threads.get_state(thread))["values"] == values
    (run,) = await client.runs.list(thread)
    assert run["status"] == "success"
    assert (run["metadata"] or {})["graph_id"] == "agent"


async def test_every_mode_is_streamed_with_its_subgraphs(client: LangGraphClient) -> None:
    modes: Any = ["values", "updates", "messages-tuple", "custom", "tasks", "checkpoints", "debug", "events"]
    parts = [
        part
        async for part in client.runs.stream(
            await thread_of(client), "agent", input=said("say"), stream_mode=modes, stream_subgraphs=True
        )
    ]
    assert parts[0].event == "metadata"
    roots = {part.event for part in parts}
    assert roots >= {"values", "updates", "custom", "tasks", "checkpoints", "debug", "events"}
    assert any(name.startswith("values|inner:") for name in roots)
    chunks = [part.data[0] for part in parts if part.event.startswith("messages|inner:")]
    assert "".join(chunk["content"] for chunk in chunks if chunk["type"] == "AIMessageChunk") == "well said"
    last = [part.data for part in parts if part.event == "values"][-1]
    assert last["messages"][-1]["id"] == chunks[0]["id"]


async def test_messages_grow_in_the_older_mode(client: LangGraphClient) -> None:
    run = client.runs.stream(await thread_of(client), "agent", input=said("say"), stream_mode="messages")
    texts = [part.data[0]["content"] async for part in run if part.event == "messages/partial"]
    assert texts[0] == "w"
    assert texts[-1] == "well said"


async def test_a_failing_run_says_what_failed(client: LangGraphClient) -> None:
    thread = await thread_of(client)
    with pytest.raises(Exception, match="ValueError: the agent could not finish"):
        await client.runs.wait(thread, "agent", input=said("fail secretly"))
    assert (await client.runs.list(thread))[0]["status"] == "error"
    found = await client.threads.get(thread)
    assert (found["status"], found["error"]["error"]) == ("error", "ValueError")  # type: ignore[typeddict-item]


async def test_a_question_is_answered_by_the_next_run(client: LangGraphClient) -> None:
    thread = await thread_of(client)
    asked: Any = await client.runs.wait(thread, "agent", input=said("ask really"))
    assert asked["__interrupt__"][0]["value"] == {"question": "really"}
    waiting = await client.threads.get(thread)
    assert waiting["status"] == "interrupted"
    assert [one["value"] for (one,) in waiting["interrupts"].values()] == [{"question": "really"}]
    values: Any = await client.runs.wait(thread, "agent", command={"resume": "yes"})
    assert values["messages"][-1]["content"] == "heard yes"
    assert (await client.threads.get(thread))["status"] == "idle"
    assert [run["status"] for run in await client.runs.list(thread)] == ["success", "success"]


async def test_a_stateless_run_leaves_nothing(agent: Agent, client: LangGraphClient) -> None:
    before = (await agent.http.get("/api/v1/memory/threads")).json()["data"]["threads"]
    values: Any = await client.runs.wait(None, "agent", input=said("hello nobody"))
    assert values["messages"][-1]["content"] == "nobody"
    assert (await agent.http.get("/api/v1/memory/threads")).json()["data"]["threads"] == before


async def test_a_stream_is_taken_up_again_where_it_was_left(agent: Agent, client: LangGraphClient) -> None:
    thread = await thread_of(client)
    run = await client.runs.create(thread, "agent", input=said("hold rejoin"), stream_mode=["updates"])
    joined: Any = client.runs.join_stream(thread, run["run_id"], last_event_id="-1")
    first = [await anext(joined), await anext(joined)]
    agent.release("rejoin")
    rest = [part.data async for part in client.runs.join_stream(thread, run["run_id"], last_event_id=first[1].id)]
    assert [part.event for part in first] == ["metadata", "updates"]
    assert list(rest[0]) == ["answer"]
    await joined.aclose()


async def test_strategies_do_what_their_names_say(agent: Agent, client: LangGraphClient) -> None:
    thread = await thread_of(client)
    first = await client.runs.create(thread, "agent", input=said("hold strategy"))
    await begun(agent, "strategy")
    with pytest.raises(ConflictError, match="already running"):
        await client.runs.create(thread, "agent", input=said("no"), multitask_strategy="reject")
    second: Any = await client.runs.wait(
        thread, "agent", input=said("hello second"), multitask_strategy="interrupt"
    )
    assert second["steps"] == ["first", "first", "hello"]
    assert (await client.runs.get(thread, first["run_id"]))["status"] == "interrupted"

    third = await client.runs.create(thread, "agent", input=said("hold strategy-2"))
    await begun(agent, "strategy-2")
    fourth: Any = await client.runs.wait(
        thread, "agent", input=said("hello fourth"), multitask_strategy="rollback"
    )
    assert [m["content"] for m in fourth["messages"]][2:] == ["second", "hello fourth", "fourth"]
    with pytest.raises(NotFoundError):
        await client.runs.get(thread, third["run_id"])


async def test_a_run_is_cancelled(agent: Agent, client: LangGraphClient) -> None:
    thread = await thread_of(client)
    run = await client.runs.create(thread, "agent", input=said("hold cancel"))
    await begun(agent, "cancel")
    await client.runs.cancel(thread, run["run_id"], wait=True)
    assert (await client.runs.get(thread, run["run_id"]))["status"] == "interrupted"
    assert (await client.threads.get_state(thread))["next"] == ["answer"]


async def test_a_run_begins_when_its_time_has_come(client: LangGraphClient) -> None:
    thread = await thread_of(client)
    run = await client.runs.create(thread, "agent", input=said("hello later"), after_seconds=1)
    assert run["status"] == "pending"
    values: Any = await client.runs.join(thread, run["run_id"])
    assert values["messages"][-1]["content"] == "later"


async def test_a_run_stops_before_a_node_and_goes_on(client: LangGraphClient) -> None:
    thread = await thread_of(client)
    await client.runs.wait(thread, "agent", input=said("hello stop"), interrupt_before=["answer"])
    assert (await client.threads.get_state(thread))["next"] == ["answer"]
    values: Any = await client.runs.wait(thread, "agent", input=None)
    assert values["steps"] == ["first", "hello"]


async def test_bad_runs_are_refused(client: LangGraphClient) -> None:
    with pytest.raises(UnprocessableEntityError, match="Must be either an assistant's ID, or one of: agent"):
        await client.runs.create(await thread_of(client), "nothing", input={})
    with pytest.raises(NotFoundError):
        await client.runs.create("00000000-0000-4000-8000-000000000000", "agent", input={})


async def begun(agent: Agent, name: str) -> None:
    async with asyncio.timeout(10):
        while not (agent.directory / f"begun-{name}").exists():
            await asyncio.sleep(0.01)
