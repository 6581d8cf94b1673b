"""Runs that are asked for again under an `Idempotency-Key` are one run, on whichever replica."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio

from tests.agents import Agent, running_agent

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def replica(agent: Agent, shared_database_url: str) -> AsyncIterator[Agent]:
    async with running_agent(agent.directory, shared_database_url) as replica:
        yield replica


def asking(text: str, **more: Any) -> dict[str, Any]:
    said = {"messages": [{"role": "user", "content": text}]}
    return {"assistant_id": "agent", "input": said, "if_not_exists": "create", **more}


async def post(agent: Agent, path: str, key: str, body: object) -> httpx.Response:
    return await agent.http.post(path, json=body, headers={"Idempotency-Key": key})


async def test_a_stream_that_is_asked_for_again_joins_the_run_from_its_beginning(
    agent: Agent, replica: Agent
) -> None:
    body = asking("hold stream", stream_mode=["updates", "custom"], multitask_strategy="interrupt")
    streams = [asyncio.create_task(post(agent, "/threads/s/runs/stream", "k", body))]
    while not (agent.directory / "begun-stream").exists():
        await asyncio.sleep(0.02)
    streams += [asyncio.create_task(post(each, "/threads/s/runs/stream", "k", body)) for each in (agent, replica)]
    await asyncio.sleep(0.1)
    (agent.directory / "release-stream").touch()
    first, *again = [(await stream).text for stream in streams]
    assert first.count("event: updates") == 2
    assert [text.replace(": heartbeat\r\n\r\n", "") for text in again] == [first, first]
    assert (await post(replica, "/threads/s/runs/stream", "k", body)).text == first
    assert len((await agent.http.get("/threads/s/runs")).json()) == 1


async def test_a_run_without_a_thread_that_is_asked_for_again_is_one(agent: Agent, replica: Agent) -> None:
    answers = await asyncio.gather(*(post(each, "/runs/wait", "k", asking("hi you")) for each in (agent, replica)))
    answers.append(await post(agent, "/runs/wait", "k", asking("hi you")))
    assert [answer.json()["steps"] for answer in answers] == [["first", "hi"]] * 3
    assert len({answer.headers["content-location"] for answer in answers}) == 1
    assert answers[0].json() == answers[-1].json()


async def test_a_background_run_that_is_asked_for_again_is_the_same(agent: Agent, replica: Agent) -> None:
    first = await post(agent, "/threads/b/runs", "k", asking("hello", metadata={"a": 1, "b": 2}))
    again = await post(replica, "/threads/b/runs", "k", asking("hello", metadata={"b": 2, "a": 1}))
    assert (again.status_code, again.json()["run_id"]) == (200, first.json()["run_id"])
    assert (await post(agent, "/threads/b2/runs", "k", asking("hello"))).json()["run_id"] != first.json()["run_id"]
    refused = await post(agent, "/threads/b/runs", "k", asking("something else"))
    assert (refused.status_code, "Idempotency-Key" in refused.json()["detail"]) == (409, True)
    refused = await post(agent, "/threads/b/runs", "k" * 256, asking("hello"))
    assert (refused.status_code, "Idempotency-Key" in refused.json()["detail"]) == (422, True)


async def test_a_batch_that_is_asked_for_again_has_the_same_runs(agent: Agent, replica: Agent) -> None:
    batch = [asking("one"), asking("one")]
    first, again = [(await post(each, "/runs/batch", "k", batch)).json() for each in (agent, replica)]
    assert [run["run_id"] for run in again] == [run["run_id"] for run in first]
    assert first[0]["run_id"] != first[1]["run_id"]
