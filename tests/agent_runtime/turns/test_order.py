"""Turns on one thread run one after the other, in order of arrival, on any replica; none is lost."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.agents import CHAT, SCRIPTED, Agent, running_agent, text_message, write_project


async def queue(agent: Agent, context: str, text: str) -> str:
    """Sends without waiting for the end; returns the task id."""
    params = {
        "message": text_message(text, contextId=context),
        "configuration": {"returnImmediately": True},
    }
    answer = await agent.rpc("SendMessage", params)
    task_id: str = answer["result"]["task"]["id"]
    return task_id


async def finished(agent: Agent, task_id: str) -> dict[str, Any]:
    while True:
        task: dict[str, Any] = (await agent.rpc("GetTask", {"id": task_id}))["result"]
        if task["status"]["state"] not in ("TASK_STATE_WORKING", "TASK_STATE_SUBMITTED"):
            return task
        await asyncio.sleep(0.05)


async def test_twenty_messages_at_once_to_one_context_all_end_up_in_the_conversation(
    tmp_path: Path, database_url: str
) -> None:
    async with running_agent(write_project(tmp_path), database_url) as agent:
        await asyncio.gather(*(agent.ask(f"message {number}", "one") for number in range(20)))
        messages = await agent.messages("one")
    said = {message["content"] for message in messages if message["role"] == "human"}
    assert said == {f"message {number}" for number in range(20)}
    assert [message["role"] for message in messages] == ["human", "ai"] * 20


async def test_turns_run_in_order_of_arrival(tmp_path: Path, database_url: str) -> None:
    async with running_agent(write_project(tmp_path, SCRIPTED), database_url) as agent:
        tasks = [await queue(agent, "one", f"say {number}") for number in range(8)]
        for task in tasks:
            await finished(agent, task)
        assert agent.journal() == [f"{mark} say {number}" for number in range(8) for mark in ("begin", "end")]


async def test_turns_of_two_replicas_on_one_thread_do_not_overlap(tmp_path: Path, database_url: str) -> None:
    directory = write_project(tmp_path, SCRIPTED)
    async with running_agent(directory, database_url) as one, running_agent(directory, database_url) as two:
        await asyncio.gather(
            *(agent.ask(f"sleep 0.0{number}", "shared") for number in range(1, 6) for agent in (one, two))
        )
        journal = one.journal()
        messages = await two.messages("shared")
    assert len(messages) == 20
    assert all(
        begun.split()[1:] == ended.split()[1:] for begun, ended in zip(journal[::2], journal[1::2], strict=True)
    )


async def test_a_held_turn_does_not_hold_up_other_threads(tmp_path: Path, database_url: str) -> None:
    async with running_agent(write_project(tmp_path, SCRIPTED), database_url) as agent:
        held = await queue(agent, "slow", "hold it")
        assert await agent.ask("say hello", "quick") == "hello"
        agent.release("it")
        assert (await finished(agent, held))["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_a_client_that_goes_away_does_not_stop_its_turn(tmp_path: Path, database_url: str) -> None:
    async with running_agent(write_project(tmp_path, SCRIPTED), database_url) as agent:
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(agent.ask("sleep 0.6", "one"), 0.3)
        assert await agent.ask("say next", "one") == "next"
        assert [message["content"] for message in await agent.messages("one")] == [
            "sleep 0.6",
            "0.6",
            "say next",
            "next",
        ]


async def test_many_runs_at_once_use_many_connections(tmp_path: Path, database_url: str) -> None:
    async with running_agent(
        write_project(tmp_path, CHAT), database_url, postgres_pool_size=10, max_turns=200
    ) as agent:
        await asyncio.gather(*(agent.ask("hello", f"thread-{number}") for number in range(60)))
        assert agent.runtime.pool.get_stats()["pool_size"] > 5


async def test_a_turn_that_runs_for_too_long_fails_and_the_next_one_begins(
    tmp_path: Path, database_url: str
) -> None:
    async with running_agent(write_project(tmp_path, SCRIPTED), database_url, max_turn_seconds=0.5) as agent:
        hanging, next_one = await queue(agent, "one", "hold it"), await queue(agent, "one", "echo after it")
        stopped = (await finished(agent, hanging))["status"]
        assert (await finished(agent, next_one))["status"]["state"] == "TASK_STATE_COMPLETED"
    assert stopped["state"] == "TASK_STATE_FAILED"
    assert "did not finish this turn within 0.5 seconds" in stopped["message"]["parts"][0]["text"]
