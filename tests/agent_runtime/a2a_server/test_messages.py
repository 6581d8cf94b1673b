"""Sending a message and getting its answer."""

import asyncio

import pytest

from groundwork.postgres.pool import Pool
from tests.agent_runtime.a2a_server.serving import Json, Script, Served, serving, state_of, text_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_a_message_is_answered_with_its_finished_task(agent: Served) -> None:
    task = (await agent.send("hello"))["task"]
    assert (state_of(task), text_of(task)) == ("COMPLETED", "hello")
    assert [message["parts"][0]["text"] for message in task["history"]] == ["hello"]
    assert (await agent.task(task["id"]))["result"] == task
    assert task["history"][0]["contextId"] == task["contextId"]


async def test_the_graph_is_told_the_ids_of_the_message_and_its_caller(pool: Pool) -> None:
    async with serving(pool, a2a_tokens="ann=t1") as agent:
        task = (await agent.send("hello", token="t1", contextId="somewhere"))["task"]
    request = agent.script.requests[0]
    assert task["contextId"] == request.thread_id == "somewhere"
    assert request.message.additional_kwargs["a2a"] == {
        "message_id": task["history"][0]["messageId"],
        "context_id": "somewhere",
        "task_id": task["id"],
        "caller": "ann",
        "data": [],
        "metadata": {},
        "part_metadata": [],
    }


async def test_a_caller_who_does_not_wait_gets_the_task_as_it_stands(agent: Served) -> None:
    task = await agent.start("hold it")
    assert state_of(task) == "WORKING"
    agent.script.release("it")
    assert text_of(await agent.until(task["id"], "COMPLETED")) == "it"


async def test_a_message_behind_another_is_submitted_and_then_worked_on(agent: Served) -> None:
    first = await agent.start("hold it", contextId="behind")
    second = await agent.start("hello", contextId="behind")
    assert (state_of(first), state_of(second)) == ("WORKING", "SUBMITTED")
    following = asyncio.create_task(follow(agent, second["id"]))
    await asyncio.sleep(0.1)
    agent.script.release("it")
    states = [state_of(event["statusUpdate"]) for event in await following if "statusUpdate" in event]
    assert states == ["WORKING", "COMPLETED"]


async def test_a_graph_that_asks_is_answered_in_the_same_task(agent: Served) -> None:
    asked = (await agent.send("ask how many?"))["task"]
    assert state_of(asked) == "INPUT_REQUIRED"
    assert asked["status"]["message"]["parts"][0]["text"] == "how many?"
    done = (await agent.send("three", taskId=asked["id"]))["task"]
    assert (state_of(done), text_of(done), done["contextId"]) == ("COMPLETED", "heard three", asked["contextId"])
    assert [m["parts"][0]["text"] for m in done["history"]] == ["ask how many?", "how many?", "three"]


async def test_a_message_beside_an_open_question_is_refused_and_told_which(agent: Served) -> None:
    asked = (await agent.send("ask how many?"))["task"]
    error = (await agent.send("never mind", contextId=asked["contextId"]))["error"]
    assert error["code"] == -32004
    assert asked["id"] in error["message"]
    assert error["data"][0]["metadata"]["taskId"] == asked["id"]
    assert state_of((await agent.task(asked["id"]))["result"]) == "INPUT_REQUIRED"


async def test_of_two_answers_to_one_question_one_is_accepted(fresh: Served) -> None:
    asked = (await fresh.send("ask how many?"))["task"]
    answers = await asyncio.gather(*(fresh.send(f"{n}", taskId=asked["id"]) for n in range(4)))
    assert sorted("task" in answer for answer in answers) == [False, False, False, True]
    assert {answer["error"]["code"] for answer in answers if "error" in answer} == {-32004}
    assert len(fresh.script.requests) == 2


async def test_a_turn_queued_before_a_question_is_rejected_and_does_not_discard_it(agent: Served) -> None:
    first = await agent.start("hold it", contextId="queue")
    asking = await agent.start("ask how many?", contextId="queue")
    behind = await agent.start("hello", contextId="queue")
    agent.script.release("it")
    task = await agent.until(behind["id"], "REJECTED")
    assert asking["id"] in task["status"]["message"]["parts"][0]["text"]
    assert text_of((await agent.send("three", taskId=asking["id"]))["task"]) == "heard three"
    assert state_of((await agent.task(first["id"]))["result"]) == "COMPLETED"


async def test_a_finished_task_takes_no_more_messages(agent: Served) -> None:
    task = (await agent.send("hello"))["task"]
    assert (await agent.send("more", taskId=task["id"]))["error"]["code"] == -32004


async def test_a_running_task_takes_no_more_messages(agent: Served) -> None:
    task = await agent.start("hold it")
    error = (await agent.send("more", taskId=task["id"]))["error"]
    assert (error["code"], "still being worked on" in error["message"]) == (-32004, True)


async def test_an_answer_in_the_wrong_context_is_refused(agent: Served) -> None:
    asked = (await agent.send("ask how many?"))["task"]
    error = (await agent.send("three", taskId=asked["id"], contextId="other"))["error"]
    assert error["code"] == -32602


async def test_rejections_and_failures_say_why(agent: Served) -> None:
    for verb, state in (("reject", "REJECTED"), ("fail", "FAILED")):
        task = (await agent.send(f"{verb} because"))["task"]
        assert (state_of(task), task["status"]["message"]["parts"][0]["text"]) == (state, "because")


async def test_a_bare_message_leaves_no_task(fresh: Served, pool: Pool) -> None:
    message = (await fresh.send("reply hi", contextId="c"))["message"]
    assert (message["parts"][0]["text"], message["role"], message["contextId"]) == ("hi", "ROLE_AGENT", "c")
    assert "taskId" not in message
    assert (await fresh.rpc("ListTasks", {}))["result"]["tasks"] == []
    async with pool.connection() as conn:
        row = await (await conn.execute("SELECT count(*) AS n FROM a2a_task_events")).fetchone()
    assert row == {"n": 0}


async def test_a_bare_message_completes_a_task_that_the_caller_knows_already(agent: Served) -> None:
    task = await agent.start("hold it later")
    agent.script.release("it")
    task = await agent.until(task["id"], "COMPLETED")
    assert task["status"]["message"]["parts"][0]["text"] == "later"


async def test_files_and_data_go_out_as_they_are(agent: Served) -> None:
    (artifact,) = (await agent.send("files"))["task"]["artifacts"]
    file, link, data = artifact["parts"]
    assert (file["filename"], file["raw"]) == ("a.bin", "AP8=")
    assert (link["url"], link["mediaType"]) == ("https://x.test/b", "text/plain")
    assert data["data"] == {"n": 1, "list": [1.5, None]}


async def test_every_character_of_unicode_comes_back(fresh: Served) -> None:
    text = "\x00 nul, é, 漢, 👩‍👩‍👧, \u202e, \ufffe, \x7f"
    task = (await fresh.send(text))["task"]
    assert (text_of(task), task["history"][0]["parts"][0]["text"]) == (text, text)
    listed = await fresh.rpc("ListTasks", {"status": "TASK_STATE_COMPLETED", "includeArtifacts": True})
    assert text_of(listed["result"]["tasks"][0]) == text


async def test_the_history_is_as_long_as_asked_for(agent: Served) -> None:
    task = (await agent.send("hello", configuration={"historyLength": 0}))["task"]
    assert "history" not in task
    assert "history" in (await agent.task(task["id"]))["result"]


async def test_tool_calls_and_artifacts_reach_the_stored_task(agent: Served) -> None:
    task = (await agent.send("chunks 5"))["task"]
    assert text_of(task) == "0 1 2 3 4 all"
    assert len(task["artifacts"]) == 1


async def test_tasks_outlive_their_process(pool: Pool) -> None:
    async with serving(pool) as before:
        task = (await before.send("hello"))["task"]
        asked = (await before.send("ask how many?"))["task"]
    async with serving(pool, script=Script()) as after:
        assert (await after.task(task["id"]))["result"] == task
        assert text_of((await after.send("three", taskId=asked["id"]))["task"]) == "heard three"


async def follow(agent: Served, task_id: str) -> list[Json]:
    return [event async for event in agent.stream("SubscribeToTask", {"id": task_id})]
