"""Following a task while it happens: from its stream, from a second one, and from another replica."""

import asyncio
from typing import Any

import pytest
from a2a.types import Artifact, Part, Task, TaskArtifactUpdateEvent, TaskState, TaskStatusUpdateEvent

from agent_runtime.a2a_server.tasks import retold
from agent_runtime.turns import feed
from groundwork.postgres.pool import Pool
from tests.agent_runtime.a2a_server.serving import Json, Served, serving, state_of, text_message, text_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


def said(events: list[Json]) -> str:
    """The text of the artifacts, as a client puts it together from the chunks."""
    text = ""
    for event in events:
        if (update := event.get("artifactUpdate")) is not None:
            new = "".join(part["text"] for part in update["artifact"]["parts"])
            text = text + new if update.get("append") else new
        elif "task" in event and "artifacts" in event["task"]:
            text = text_of(event["task"])
    return text


async def collect(agent: Served, task_id: str) -> list[Json]:
    return [event async for event in agent.stream("SubscribeToTask", {"id": task_id})]


async def test_a_stream_begins_with_the_task_and_ends_with_its_last_status(agent: Served) -> None:
    events = await agent.streamed("chunks 3")
    kinds = [next(iter(event)) for event in events]
    assert kinds == ["task", *["artifactUpdate"] * 4, "statusUpdate"]
    assert said(events) == "0 1 2 all"
    assert state_of(events[-1]["statusUpdate"]) == "COMPLETED"
    task = (await agent.task(events[0]["task"]["id"]))["result"]
    assert text_of(task) == "0 1 2 all"


async def test_tool_calls_show_as_status_updates(agent: Served) -> None:
    events = await agent.streamed("tools")
    said = [event["statusUpdate"]["status"]["message"]["parts"] for event in events[1:3]]
    assert [parts[0]["text"] for parts in said] == ["calling add", "add answered"]
    assert said[0][1]["data"] == {"tool_call": {"id": "1", "name": "add", "arguments": {"a": 1}}}


async def test_a_bare_message_is_the_only_thing_in_its_stream(agent: Served) -> None:
    (event,) = await agent.streamed("reply hi")
    assert event["message"]["parts"][0]["text"] == "hi"


async def test_a_stream_that_has_shown_its_task_ends_with_the_task_completed(agent: Served) -> None:
    streaming = asyncio.create_task(agent.streamed("hold it late"))
    await asyncio.sleep(1.4)
    agent.script.release("it")
    task, status = await streaming
    assert state_of(task["task"]) == "WORKING"
    assert state_of(status["statusUpdate"]) == "COMPLETED"
    assert status["statusUpdate"]["status"]["message"]["parts"][0]["text"] == "late"


async def test_a_stream_ends_when_the_graph_asks_and_the_answer_has_one_of_its_own(agent: Served) -> None:
    events = await agent.streamed("ask how many?")
    assert state_of(events[-1]["statusUpdate"]) == "INPUT_REQUIRED"
    answered = await agent.streamed("three", taskId=events[0]["task"]["id"])
    assert (state_of(answered[0]["task"]), said(answered)) == ("WORKING", "heard three")


async def test_a_client_that_goes_away_does_not_stop_the_turn(agent: Served) -> None:
    params = {"message": text_message("hold it")}
    stream = agent.stream("SendStreamingMessage", params)
    event = await anext(stream)
    await stream.aclose()
    agent.script.release("it")
    task = await agent.until(event["task"]["id"], "COMPLETED")
    assert text_of(task) == "it"


async def test_a_finished_task_cannot_be_followed(agent: Served) -> None:
    task = (await agent.send("hello"))["task"]
    (answer,) = await collect(agent, task["id"])
    assert answer["error"]["code"] == -32004


async def test_followers_on_both_replicas_get_every_event_once(pool: Pool) -> None:
    async with serving(pool) as here, serving(pool) as there:
        task = await here.start("hold it", contextId="c")
        behind = await here.start("chunks 400", contextId="c")
        following = [asyncio.create_task(collect(agent, behind["id"])) for agent in (here, there, there)]
        await asyncio.sleep(0.3)
        here.script.release("it")
        expected = "".join(f"{n} " for n in range(400)) + "all"
        for events in await asyncio.gather(*following):
            assert said(events) == expected
            assert [state_of(e["statusUpdate"]) for e in events if "statusUpdate" in e] == ["WORKING", "COMPLETED"]
        assert state_of((await there.task(task["id"]))["result"]) == "COMPLETED"


async def test_a_follower_that_falls_behind_loses_nothing(agent: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feed, "MOST_WAITING_EVENTS", 3)
    task = await agent.start("hold it", contextId="slow")
    behind = await agent.start("chunks 40", contextId="slow")
    with agent.a2a.feed.follow(behind["id"], 1) as follower:
        follower.watch()
        agent.script.release("it")
        await agent.until(behind["id"], "COMPLETED")
        versions: list[int] = []
        item: Any = None
        while item is None or not item.ends:
            item = await follower.next()
            versions.append(item.version)
    assert versions == list(range(2, 2 + len(versions)))
    assert len(versions) == 43
    assert task["id"] != behind["id"]


async def test_a_follower_that_knows_the_first_of_what_was_written_at_once_gets_the_rest(
    fresh: Served, pool: Pool
) -> None:
    task = (await fresh.send("chunks 3"))["task"]
    async with pool.connection() as conn:
        cursor = await conn.execute(
            "SELECT first_version, version FROM a2a_task_events ORDER BY version DESC LIMIT 1"
        )
        row = await cursor.fetchone()
    assert row is not None
    first, last = row["first_version"], row["version"]
    assert last > first
    with fresh.a2a.feed.follow(task["id"], first) as follower:
        follower.watch()
        items = [await follower.next(5) for _ in range(first, last)]
    assert [item.version for item in items if item] == list(range(first + 1, last + 1))
    assert [item.ends for item in items if item] == [False] * (last - first - 1) + [True]


async def test_a_follower_whose_events_were_pruned_hears_what_they_led_to(fresh: Served, pool: Pool) -> None:
    task = (await fresh.send("chunks 3"))["task"]
    async with pool.connection() as conn:
        await conn.execute("DELETE FROM a2a_task_events")
    with fresh.a2a.feed.follow(task["id"], 2) as follower:
        follower.watch()
        artifact, status = [await follower.next(5) for _ in range(2)]
    assert artifact is not None
    assert status is not None
    assert isinstance(artifact.event, TaskArtifactUpdateEvent)
    assert "".join(part.text for part in artifact.event.artifact.parts) == "0 1 2 all"
    assert (artifact.event.append, artifact.event.last_chunk) == (False, True)
    assert (status.ends, status.snapshot is not None) == (True, True)


async def test_a_quick_turn_stores_no_events_and_is_heard_of_on_another_replica(pool: Pool) -> None:
    async with serving(pool) as here, serving(pool) as there:
        task = await here.start("hold it")
        following = asyncio.create_task(collect(there, task["id"]))
        await asyncio.sleep(0.3)
        here.script.release("it")
        first, artifact, status = await following
        async with pool.connection() as conn:
            kept = await (await conn.execute("SELECT FROM a2a_task_events")).fetchall()
    assert state_of(first["task"]) == "WORKING"
    assert said([artifact]) == "it"
    assert artifact["artifactUpdate"]["lastChunk"]
    assert state_of(status["statusUpdate"]) == "COMPLETED"
    assert kept == []


async def test_a_question_is_kept_since_its_task_may_have_gone_on_when_it_is_read(pool: Pool) -> None:
    async with serving(pool) as here, serving(pool) as there:
        asking = (await here.send("ask how many?"))["task"]
        await here.send("three", taskId=asking["id"])
        with there.a2a.feed.follow(asking["id"], 1) as follower:
            follower.watch()
            item = await follower.next(5)
    assert item is not None
    assert item.ends
    assert isinstance(item.event, TaskStatusUpdateEvent)
    assert item.event.status.state == TaskState.TASK_STATE_INPUT_REQUIRED


async def test_what_a_task_has_come_to_is_not_called_whole_before_it_has_ended() -> None:
    task = Task(id="t", artifacts=[Artifact(artifact_id="answer", parts=[Part(text="half")])])
    said = {}
    for state in (TaskState.TASK_STATE_WORKING, TaskState.TASK_STATE_COMPLETED):
        task.status.state = state
        artifact, status = (item.event for item in retold(task, 4))
        assert isinstance(artifact, TaskArtifactUpdateEvent)
        assert isinstance(status, TaskStatusUpdateEvent)
        said[status.status.state] = artifact.last_chunk
    assert said == {TaskState.TASK_STATE_WORKING: False, TaskState.TASK_STATE_COMPLETED: True}


async def test_followers_hear_that_the_thread_was_deleted(pool: Pool) -> None:
    async with serving(pool) as here, serving(pool) as there:
        task = await here.start("hold it")
        following = asyncio.create_task(collect(there, task["id"]))
        waiting = asyncio.create_task(here.send("hello", contextId=task["contextId"]))
        await asyncio.sleep(0.2)
        async with pool.connection() as conn:
            for table in ("agent_turns", "a2a_tasks", "agent_threads"):
                await conn.execute(f"DELETE FROM {table}")
        assert (await following)[-1]["error"]["code"] == -32001
        assert (await asyncio.wait_for(waiting, 6))["error"]["code"] == -32001


async def test_waiting_callers_hold_no_connection(fresh: Served, pool: Pool) -> None:
    streams = [fresh.stream("SendStreamingMessage", {"message": text_message("hold it")}) for _ in range(30)]
    await asyncio.gather(*(anext(stream) for stream in streams))
    idle = asyncio.get_running_loop().time() + 0.5
    while asyncio.get_running_loop().time() < idle:
        stats = pool.get_stats()
        if stats["pool_available"] == stats["pool_size"]:
            break
        await asyncio.sleep(0.01)
    assert stats["pool_available"] == stats["pool_size"]
    for stream in streams:
        await stream.aclose()
