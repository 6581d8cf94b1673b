"""Listing, cancelling and keeping apart the tasks of callers."""

import asyncio
from datetime import UTC, datetime

import pytest

from agent_runtime.a2a_server import store
from groundwork.postgres.pool import Pool
from tests.agent_runtime.a2a_server.serving import Json, Served, serving, state_of

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def listed(agent: Served, token: str = "", **params: object) -> Json:
    answer = await agent.rpc("ListTasks", dict(params), token=token)
    result: Json = answer.get("result", answer)
    return result


async def test_tasks_are_listed_from_the_newest_on_page_by_page(fresh: Served) -> None:
    sent = [(await fresh.send(f"{n}"))["task"]["id"] for n in range(5)]
    seen: list[str] = []
    token = ""
    while True:
        page = await listed(fresh, pageSize=2, pageToken=token)
        assert (page["totalSize"], page["pageSize"]) == (5, 2)
        seen += [task["id"] for task in page["tasks"]]
        if not (token := page["nextPageToken"]):
            break
    assert seen == sent[::-1]


async def test_a_page_ends_where_its_tasks_are_too_many_bytes(
    fresh: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = [(await fresh.send("x" * 3000))["task"]["id"] for _ in range(5)]
    for most, first_page in ((14_000, 2), (10, 1)):
        monkeypatch.setattr(store, "PAGE_BYTES", most)
        page = await listed(fresh)
        assert [task["id"] for task in page["tasks"]] == sent[: -first_page - 1 : -1]
        rest = await listed(fresh, pageToken=page["nextPageToken"])
        assert rest["tasks"][0]["id"] == sent[-first_page - 1]


async def test_the_listing_can_be_narrowed_down(fresh: Served) -> None:
    first = (await fresh.send("first", contextId="a"))["task"]
    between = datetime.now(UTC).isoformat()
    asked = (await fresh.send("ask something", contextId="b"))["task"]
    running = await fresh.start("hold it", contextId="c")
    queued = await fresh.start("hello", contextId="c")
    for params, expected in (
        ({"contextId": "a"}, {first["id"]}),
        ({"status": "TASK_STATE_INPUT_REQUIRED"}, {asked["id"]}),
        ({"status": "TASK_STATE_WORKING"}, {running["id"]}),
        ({"status": "TASK_STATE_SUBMITTED"}, {queued["id"]}),
        ({"statusTimestampAfter": between}, {asked["id"], running["id"], queued["id"]}),
        ({"contextId": "a", "status": "TASK_STATE_FAILED"}, set()),
    ):
        page = await listed(fresh, **params)
        assert {task["id"] for task in page["tasks"]} == expected, params
        assert page["totalSize"] == len(expected)


async def test_artifacts_and_history_are_listed_as_asked_for(fresh: Served) -> None:
    await fresh.send("hello")
    (bare,) = (await listed(fresh, historyLength=0))["tasks"]
    (full,) = (await listed(fresh, includeArtifacts=True))["tasks"]
    assert "artifacts" not in bare
    assert bare.get("history", []) == []
    assert full["artifacts"]
    assert full["history"]


async def test_bad_listings_are_refused(agent: Served) -> None:
    for params in (
        {"pageSize": 0},
        {"pageSize": 101},
        {"pageToken": "nonsense"},
        {"pageToken": "eyJ0cyI6OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk5LCJpZCI6IngifQ"},
        {"historyLength": -1},
        {"status": 99},
        {"contextId": "a\x00b"},
        {"statusTimestampAfter": "yesterday"},
    ):
        assert (await listed(agent, **params))["error"]["code"] == -32602, params


async def test_a_running_task_can_be_cancelled_and_its_followers_hear_of_it(pool: Pool) -> None:
    async with serving(pool) as here, serving(pool) as there:
        waiting = asyncio.create_task(here.send("hold it", contextId="c"))
        await here.script.begun("hold it")
        (task,) = (await listed(there, contextId="c"))["tasks"]
        cancelled = (await there.rpc("CancelTask", {"id": task["id"]}))["result"]
        assert state_of(cancelled) == "CANCELED"
        assert state_of((await waiting)["task"]) == "CANCELED"
        again = await here.rpc("CancelTask", {"id": task["id"]})
        assert again["error"]["code"] == -32002


async def test_a_queued_task_can_be_cancelled_before_it_runs(fresh: Served) -> None:
    await fresh.start("hold it", contextId="c")
    queued = await fresh.start("never", contextId="c")
    assert state_of((await fresh.rpc("CancelTask", {"id": queued["id"]}))["result"]) == "CANCELED"
    fresh.script.release("it")
    await fresh.send("after", contextId="c")
    assert [str(request.message.text) for request in fresh.script.requests] == ["hold it", "after"]


async def test_a_waiting_task_can_be_cancelled_and_its_context_goes_on(agent: Served) -> None:
    asked = (await agent.send("ask how many?"))["task"]
    assert state_of((await agent.rpc("CancelTask", {"id": asked["id"]}))["result"]) == "CANCELED"
    assert state_of((await agent.send("hello", contextId=asked["contextId"]))["task"]) == "COMPLETED"


async def test_callers_see_nothing_of_each_other(pool: Pool) -> None:
    async with serving(pool, a2a_tokens="ann=t1,bob=t2") as agent:
        task = (await agent.send("hello", token="t1"))["task"]
        asked = (await agent.send("ask how many?", token="t1"))["task"]
        params = {"id": task["id"]}
        for method in ("GetTask", "CancelTask"):
            assert (await agent.rpc(method, params, token="t2"))["error"]["code"] == -32001
        assert (await listed(agent, token="t2"))["tasks"] == []
        assert (await agent.send("3", token="t2", taskId=asked["id"]))["error"]["code"] == -32001
        refused = (await agent.send("hi", token="t2", contextId=task["contextId"]))["error"]
        assert refused["code"] == -32602
        assert (await listed(agent, token="t1"))["totalSize"] == 2


async def test_another_agent_on_the_same_database_sees_no_tasks_of_ours(pool: Pool) -> None:
    async with serving(pool) as ours, serving(pool, agent_id="other") as theirs:
        task = (await ours.send("hello"))["task"]
        assert (await theirs.task(task["id"]))["error"]["code"] == -32001
        assert (await theirs.rpc("CancelTask", {"id": task["id"]}))["error"]["code"] == -32001
        refused = (await theirs.send("hello", contextId=task["contextId"]))["error"]
        assert refused["code"] == -32602
        async with pool.connection() as conn:
            await conn.execute("UPDATE agent_owners SET agent_id = 'other' WHERE agent_id = 'agent'")
        assert (await theirs.task(task["id"]))["result"] == task


async def test_pruning_leaves_every_task_as_it_was(fresh: Served, pool: Pool) -> None:
    done = (await fresh.send("chunks 3"))["task"]
    await fresh.start("hold it", contextId="c")
    running = await fresh.start("hold other", contextId="c")
    fresh.script.release("it")
    await fresh.script.begun("hold other")
    async with pool.connection() as conn:
        await conn.execute("UPDATE a2a_task_events SET created_at = now() - interval '1 hour'")
        assert await store.prune_events(conn) > 0
    assert (await fresh.task(done["id"]))["result"] == done
    assert state_of((await fresh.task(running["id"]))["result"]) == "WORKING"
