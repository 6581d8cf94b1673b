"""Streams of whole threads, with the commands beside them, as clients of `langchain-protocol` use them."""

import asyncio
import json
from typing import Any
from uuid import uuid4

import pytest
from langgraph_sdk.client import LangGraphClient

from agent_runtime.graph.outputs import StreamFrame
from agent_runtime.langgraph_server.protocol import RunEvents
from agent_runtime.langgraph_server.runs import RunFrame
from agent_runtime.langgraph_server.store import ThreadRun
from tests.agent_runtime.langgraph_server.test_runs import begun, said, thread_of
from tests.agents import Agent

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALL = ["values", "updates", "messages", "tools", "lifecycle", "input", "checkpoints", "tasks", "custom"]


async def command(agent: Agent, thread: str, method: str, **params: Any) -> dict[str, Any]:
    body = {"id": 7, "method": method, "params": params}
    response = await agent.http.post(f"/threads/{thread}/commands", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    assert answer["id"] == 7
    return answer


async def events(agent: Agent, thread: str, runs: int = 1, **wanted: Any) -> list[dict[str, Any]]:
    """The events of a thread until so many of its runs have ended."""
    seen: list[dict[str, Any]] = []
    asked = {"channels": ALL, **wanted}
    async with (
        asyncio.timeout(20),
        agent.http.stream("POST", f"/threads/{thread}/stream/events", json=asked) as response,
    ):
        assert response.status_code == 200, await response.aread()
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                seen.append(json.loads(line.removeprefix("data: ")))
                runs -= is_end(seen[-1])
                if not runs:
                    break
    return seen


def is_end(event: dict[str, Any]) -> bool:
    params = event["params"]
    ended = params["data"].get("event") in ("completed", "failed", "interrupted")
    return event["method"] == "lifecycle" and not params["namespace"] and ended


async def test_a_client_of_the_protocol_starts_runs_and_answers_questions(client: LangGraphClient) -> None:
    async with client.threads.stream(assistant_id="agent") as thread, asyncio.timeout(20):
        await thread.run.start(input=said("say"))
        values: Any = await thread.output
        assert values["messages"][-1]["content"] == "well said"
        await thread.run.start(input=said("ask really"))
        while not thread.interrupts:
            await asyncio.sleep(0.02)
        assert thread.interrupts[0]["value"] == {"question": "really"}
        await thread.run.respond("yes")
        while (await client.threads.get(thread.thread_id))["status"] != "idle":
            await asyncio.sleep(0.05)
        state: Any = await client.threads.get_state(thread.thread_id)
        assert state["values"]["messages"][-1]["content"] == "heard yes"


async def test_events_tell_all_that_happens_and_the_same_again(agent: Agent) -> None:
    thread = str(uuid4())
    following = asyncio.create_task(events(agent, thread))
    started = await command(agent, thread, "run.start", assistant_id="agent", input=said("say"))
    live = await following
    assert live[0]["params"]["data"] == {"event": "running", "graph_name": "agent"}
    assert [event["seq"] for event in live] == sorted({event["seq"] for event in live})
    assert {event["method"] for event in live} >= {
        "values",
        "updates",
        "messages",
        "custom",
        "tasks",
        "checkpoints",
    }
    text = [e["params"]["data"] for e in live if e["method"] == "messages"]
    assert [data["event"] for data in text][:2] == ["message-start", "content-block-start"]
    assert "".join(data["delta"]["text"] for data in text if "delta" in data) == "well said"
    inner = [e["params"]["data"]["event"] for e in live if e["method"] == "lifecycle" and e["params"]["namespace"]]
    assert inner == ["started", "completed"]
    again = await events(agent, thread)
    assert [event["event_id"] for event in again] == [event["event_id"] for event in live]
    assert live[0]["event_id"].startswith(started["result"]["run_id"])
    rest = await events(agent, thread, since=live[3]["seq"])
    assert [event["seq"] for event in rest] == [event["seq"] for event in live[4:]]
    only = await events(agent, thread, channels=["messages", "lifecycle"], namespaces=[["inner"], []], depth=0)
    assert {event["method"] for event in only} == {"lifecycle"} | ({"messages"} if only[1:] else set())


async def test_runs_of_other_routes_show_in_the_order_of_their_thread(
    agent: Agent, client: LangGraphClient
) -> None:
    thread = await thread_of(client)
    await client.runs.wait(thread, "agent", input=said("ask now?"))
    await client.runs.create(thread, "agent", input=said("fail x"), stream_mode="values")
    seen = await events(agent, thread, runs=2, channels=["lifecycle", "input"])
    told = [event["params"]["data"].get("event") or event["params"]["data"]["payload"] for event in seen]
    assert told == ["running", {"question": "now?"}, "interrupted", "running", "failed"]
    assert "ValueError" in seen[-1]["params"]["data"]["error"]


async def test_commands_that_cannot_be_carried_out_say_why(agent: Agent, client: LangGraphClient) -> None:
    thread = await thread_of(client)
    run = {"assistant_id": "agent", "input": said("ask me")}
    for method, params, code in (
        ("no.such", {}, "unknown_command"),
        ("subscription.subscribe", {"channels": ["values"]}, "not_supported"),
        ("run.start", {"input": {}}, "invalid_argument"),
        ("run.start", {**run, "assistant_id": "nobody"}, "invalid_argument"),
        ("agent.getTree", {}, "no_such_run"),
        ("input.respond", {"interrupt_id": "x", "namespace": [], "response": 1}, "no_such_interrupt"),
    ):
        failed = await command(agent, thread, method, **params)
        assert (failed["type"], failed["error"]) == ("error", code), failed
    await command(agent, thread, "run.start", assistant_id="agent", input=said("hold tree"))
    await begun(agent, "tree")
    assert (await command(agent, thread, "agent.getTree"))["result"]["tree"]["status"] == "running"
    agent.release("tree")
    for path, body in (("commands", {"method": "run.start"}), ("stream/events", {"channels": ["fish"]})):
        assert (await agent.http.post(f"/threads/{thread}/{path}", json=body)).status_code == 400


async def test_a_thread_is_joined_for_all_its_runs(client: LangGraphClient) -> None:
    thread = await thread_of(client)
    await client.runs.wait(thread, "agent", input=said("hello one"))

    async def join(**given: Any) -> list[Any]:
        parts = []
        async for part in await client.threads.join_stream(thread, **given):
            parts.append(part)
            if part.event == "metadata" and part.data.get("status") == "run_done":
                return parts
        return parts

    async with asyncio.timeout(20):
        following = asyncio.create_task(join())
        await asyncio.sleep(0.3)
        await client.runs.create(thread, "agent", input=said("hello two"), stream_mode="values")
        live = await following
        first = await join(last_event_id="-1")
    assert live[0].event == "metadata"
    assert live[-2].data["messages"][-1]["content"] == "two"
    assert first[-2].data["messages"][-1]["content"] == "one"


async def test_tool_calls_are_told_as_they_are_written_and_as_they_are_carried_out() -> None:
    made = RunEvents(ThreadRun("r", 2, "agent"))

    def shown(event: str, data: Any) -> list[dict[str, Any]]:
        frame = RunFrame(1, StreamFrame(event, json.dumps(data)))
        return [one.to_json()["params"] for one in made.read(frame)]

    def chunk(args: str, **more: Any) -> list[Any]:
        call = {"index": 0, "id": "c", "name": "add", "args": args}
        said = {"type": "AIMessageChunk", "id": "m", "content": "", "tool_call_chunks": [call], **more}
        return [said, {"langgraph_node": "model"}]

    shown("messages", chunk('{"a":'))
    *_, block, end = shown("messages", chunk(" 1}", chunk_position="last"))
    assert block["data"]["content"] == {"type": "tool_call", "id": "c", "name": "add", "args": {"a": 1}}
    assert (end["data"]["event"], end["node"]) == ("message-finish", "model")
    call = {"id": "c", "name": "add", "args": {"a": 1}}
    _, started = shown("updates", {"model": {"messages": [{"type": "ai", "tool_calls": [call]}]}})
    answer = {"type": "tool", "tool_call_id": "c", "content": "2", "status": "success"}
    _, finished = shown("updates", {"tools": {"messages": [answer]}})
    assert [one["data"]["event"] for one in (started, finished)] == ["tool-started", "tool-finished"]
    assert finished["data"]["output"] == answer
