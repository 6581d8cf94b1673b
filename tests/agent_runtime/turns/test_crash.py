"""A process that dies in the middle of a turn loses nothing."""

import asyncio
import signal
import time
from pathlib import Path
from typing import Any

import httpx

from agent_runtime.turns.running import MAX_RUNS
from groundwork.postgres.pool import Pool
from tests.agents import SCRIPTED, text_message, write_project
from tests.processes import ServiceProcess, agent_process

# Counts how often the first step runs; the second one kills the process the first time it is reached.
TWO_STEPS = """
import os
import signal
from pathlib import Path

from langchain_core.messages import AIMessage
from langgraph.graph import START, MessagesState, StateGraph

HERE = Path(__file__).parent

def first(state: MessagesState):
    with (HERE / "journal").open("a") as journal:
        journal.write("first\\n")
    return {"messages": [AIMessage("half")]}

def second(state: MessagesState):
    died = HERE / "died"
    if not died.exists():
        died.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return {"messages": [AIMessage("whole")]}

graph = StateGraph(MessagesState)
graph.add_sequence([first, second])
graph.add_edge(START, "first")
"""


async def call(agent: ServiceProcess, method: str, params: dict[str, Any]) -> dict[str, Any]:
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    async with httpx.AsyncClient(timeout=20) as http:
        response = await http.post(agent.url, json=body, headers={"A2A-Version": "1.0"})
    answer: dict[str, Any] = response.json()
    return answer


async def send_and_go(agent: ServiceProcess, text: str, context: str) -> str:
    params = {"message": text_message(text, contextId=context), "configuration": {"returnImmediately": True}}
    task_id: str = (await call(agent, "SendMessage", params))["result"]["task"]["id"]
    return task_id


async def outcome(agent: ServiceProcess, task_id: str) -> dict[str, Any]:
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        task: dict[str, Any] = (await call(agent, "GetTask", {"id": task_id}))["result"]
        if task["status"]["state"] not in ("TASK_STATE_WORKING", "TASK_STATE_SUBMITTED"):
            return task
        await asyncio.sleep(0.1)
    raise AssertionError(f"task {task_id} is still {task['status']['state']}")


async def conversation(agent: ServiceProcess, context: str) -> list[str]:
    async with httpx.AsyncClient() as http:
        response = await http.get(f"{agent.url}/api/v1/memory/threads/{context}/messages")
    return [message["content"] for message in response.json()["data"]["messages"]]


async def test_a_restarted_agent_goes_on_from_the_last_checkpoint(tmp_path: Path, database_url: str) -> None:
    directory = write_project(tmp_path, TWO_STEPS)
    settings = {"postgres_dsn": database_url, "checkpoint_durability": "sync"}
    async with agent_process(directory, **settings) as agent:
        task_id = await send_and_go(agent, "go", "one")
        await asyncio.to_thread(agent.process.wait)
    async with agent_process(directory, **settings) as agent:
        task = await outcome(agent, task_id)
        said = await conversation(agent, "one")
    assert task["status"]["state"] == "TASK_STATE_COMPLETED"
    assert said == ["go", "half", "whole"]
    assert (directory / "journal").read_text() == "first\n"


async def test_a_live_replica_resumes_the_turn_of_a_killed_one(tmp_path: Path, database_url: str) -> None:
    directory = write_project(tmp_path, SCRIPTED)
    async with (
        agent_process(directory, postgres_dsn=database_url) as one,
        agent_process(directory, postgres_dsn=database_url) as two,
    ):
        running = await send_and_go(one, "hold it", "one")
        queued = await send_and_go(one, "say after", "one")
        one.kill()
        (directory / "release-it").touch()
        assert (await outcome(two, running))["status"]["state"] == "TASK_STATE_COMPLETED"
        assert (await outcome(two, queued))["status"]["state"] == "TASK_STATE_COMPLETED"
        assert await conversation(two, "one") == ["hold it", "it", "say after", "after"]


async def test_a_conversation_survives_kill_and_restart(tmp_path: Path, database_url: str) -> None:
    directory = write_project(tmp_path)
    async with agent_process(directory, postgres_dsn=database_url) as agent:
        await outcome(agent, await send_and_go(agent, "my name is Ada", "one"))
        agent.kill()
    async with agent_process(directory, postgres_dsn=database_url) as agent:
        task = await outcome(agent, await send_and_go(agent, "what is my name?", "one"))
    assert "Ada" in task["artifacts"][0]["parts"][0]["text"]


async def test_sigterm_lets_the_running_turn_end(tmp_path: Path, database_url: str) -> None:
    directory = write_project(tmp_path, SCRIPTED)
    async with agent_process(directory, postgres_dsn=database_url) as agent:
        task_id = await send_and_go(agent, "sleep 1", "one")
        assert await asyncio.to_thread(agent.terminate) == 0
    assert "end sleep 1" in (directory / "journal").read_text()
    async with agent_process(directory, postgres_dsn=database_url) as agent:
        assert (await outcome(agent, task_id))["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_a_turn_that_keeps_killing_its_process_is_given_up(
    tmp_path: Path, database_url: str, pool: Pool
) -> None:
    directory = write_project(tmp_path, TWO_STEPS.replace("died.touch()", "pass"))
    async with agent_process(directory, postgres_dsn=database_url) as agent:
        task_id = await send_and_go(agent, "go", "one")
        await asyncio.to_thread(agent.process.wait)
    async with pool.connection() as conn:
        # As if four more processes had died of it, which takes long to act out.
        await conn.execute("UPDATE agent_turns SET runs = %s", (MAX_RUNS,))
    async with agent_process(directory, postgres_dsn=database_url) as agent:
        task = await outcome(agent, task_id)
    assert task["status"]["state"] == "TASK_STATE_FAILED"
    assert "died" in task["status"]["message"]["parts"][0]["text"]


async def test_a_second_signal_stops_at_once_and_the_turn_is_resumed_later(
    tmp_path: Path, database_url: str
) -> None:
    directory = write_project(tmp_path, SCRIPTED)
    async with agent_process(directory, postgres_dsn=database_url, shutdown_grace_seconds=60) as agent:
        task_id = await send_and_go(agent, "hold it", "one")
        agent.process.send_signal(signal.SIGINT)
        await asyncio.sleep(0.5)
        assert agent.process.poll() is None
        agent.process.send_signal(signal.SIGINT)
        assert await asyncio.to_thread(agent.process.wait, 10) == 130
    (directory / "release-it").touch()
    async with agent_process(directory, postgres_dsn=database_url) as agent:
        assert (await outcome(agent, task_id))["status"]["state"] == "TASK_STATE_COMPLETED"


async def test_who_waits_for_a_turn_at_shutdown_is_told_that_it_goes_on(tmp_path: Path, database_url: str) -> None:
    directory = write_project(tmp_path, SCRIPTED)
    async with agent_process(directory, postgres_dsn=database_url, shutdown_grace_seconds=2) as agent:
        waiting = asyncio.create_task(
            call(agent, "SendMessage", {"message": text_message("hold it", contextId="one")})
        )
        while not (directory / "journal").exists():
            await asyncio.sleep(0.05)
        started = time.monotonic()
        assert await asyncio.to_thread(agent.terminate) == 0
        assert time.monotonic() - started < 6
        assert "shutting down; the turn goes on" in (await waiting)["error"]["message"]
