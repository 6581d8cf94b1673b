"""Push notifications reach their receivers in order, and no turn waits for them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from agent_runtime.a2a_server import push
from groundwork.bounds import PUSH_CONFIGS_PER_TASK, PUSH_REQUESTS_AT_ONCE
from groundwork.postgres.pool import Pool
from tests.agent_runtime.a2a_server.serving import Json, Served, serving, state_of
from tests.servers import run_server

pytestmark = pytest.mark.asyncio(loop_scope="module")


@dataclass
class Receiver:
    """A webhook. `answers` are the statuses it gives, one after the other, and then 200 for ever."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    seconds: float = 0.0
    got: list[tuple[dict[str, str], Json]] = field(default_factory=list)

    async def __call__(self, request: Request) -> Response:
        body = await request.json()
        await asyncio.sleep(self.seconds)
        status = self.answers.pop(0) if self.answers else 200
        if status == 200:
            self.got.append((dict(request.headers), body))
        return Response(status_code=status)

    async def last(self, state: str) -> list[Json]:
        """What was received, once the state is among it."""
        for _ in range(300):
            received = [body for _, body in self.got]
            if received and state_of(received[-1].get("statusUpdate", {"status": {"state": ""}})) == state:
                return received
            await asyncio.sleep(0.02)
        raise AssertionError(f"never told of {state}: {self.got}")


@asynccontextmanager
async def receiving(**given: Any) -> AsyncIterator[Receiver]:
    receiver = Receiver(**given)
    async with run_server(Starlette(routes=[Route("/hook", receiver.__call__, methods=["POST"])])) as url:
        receiver.url = f"{url}/hook"
        yield receiver


def to(receiver: Receiver, **fields: Any) -> Json:
    return {"taskPushNotificationConfig": {"id": "mine", "url": receiver.url, **fields}}


async def test_a_receiver_hears_of_each_status_and_of_whole_artifacts_in_order(agent: Served) -> None:
    async with receiving() as receiver:
        auth = {"scheme": "Bearer", "credentials": "abc"}
        await agent.send("chunks 20", configuration=to(receiver, token="t0", authentication=auth))
        artifact, status = await receiver.last("COMPLETED")
    parts = artifact["artifactUpdate"]["artifact"]["parts"]
    assert "".join(part["text"] for part in parts) == "".join(f"{n} " for n in range(20)) + "all"
    assert not artifact["artifactUpdate"].get("append")
    headers = receiver.got[0][0]
    assert (headers["x-a2a-notification-token"], headers["authorization"]) == ("t0", "Bearer abc")
    assert status["statusUpdate"]["taskId"] == artifact["artifactUpdate"]["taskId"]


async def test_a_slow_receiver_holds_up_no_turn(agent: Served) -> None:
    async with receiving(seconds=0.5) as receiver:
        started = asyncio.get_running_loop().time()
        await agent.send("tools", configuration=to(receiver))
        assert asyncio.get_running_loop().time() - started < 0.5
        assert len(await receiver.last("COMPLETED")) == 4


async def test_a_receiver_that_fails_twice_is_tried_again(agent: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(push, "FIRST_PAUSE_SECONDS", 0.02)
    async with receiving(answers=[503, 500]) as receiver:
        await agent.send("reply kept", configuration=to(receiver))
        (status,) = await receiver.last("COMPLETED")
    assert status["statusUpdate"]["status"]["message"]["parts"][0]["text"] == "kept"


async def test_a_receiver_that_refuses_is_not_tried_again(agent: Served) -> None:
    async with receiving(answers=[410]) as receiver:
        await agent.send("hello", configuration=to(receiver))
        (status,) = await receiver.last("COMPLETED")
    assert "statusUpdate" in status


async def test_a_config_set_on_another_replica_while_the_turn_runs_is_heeded(pool: Pool) -> None:
    async with serving(pool) as here, serving(pool) as there, receiving() as receiver:
        task = await here.start("hold it")
        config = {"taskId": task["id"], "url": receiver.url}
        made = (await there.rpc("CreateTaskPushNotificationConfig", config))["result"]
        assert made["id"] == task["id"]
        here.script.release("it")
        await receiver.last("COMPLETED")


async def test_configs_can_be_listed_read_replaced_and_deleted(agent: Served) -> None:
    task = await agent.start("hold it")
    params: Json = {"taskId": task["id"]}
    for name, url in (("a", "http://127.0.0.1:1/x"), ("b", "http://127.0.0.1:1/y"), ("a", "http://127.0.0.1:1/z")):
        await agent.rpc("CreateTaskPushNotificationConfig", {**params, "id": name, "url": url})
    listed = (await agent.rpc("ListTaskPushNotificationConfigs", params))["result"]["configs"]
    assert [(config["id"], config["url"][-1]) for config in listed] == [("a", "z"), ("b", "y")]
    read = await agent.rpc("GetTaskPushNotificationConfig", {**params, "id": "b"})
    assert read["result"] == listed[1]
    await agent.rpc("DeleteTaskPushNotificationConfig", {**params, "id": "b"})
    missing = await agent.rpc("GetTaskPushNotificationConfig", {**params, "id": "b"})
    assert missing["error"]["code"] == -32001
    nobodys = await agent.rpc("CreateTaskPushNotificationConfig", {"taskId": "none", "url": "http://x.test"})
    assert nobodys["error"]["code"] == -32001


async def test_urls_that_may_not_be_called_are_refused_when_they_are_set(pool: Pool) -> None:
    async with serving(pool, deny_private_networks=True) as agent:
        task = await agent.start("hold it")
        for url in (
            "ftp://x.test",
            "http://",
            "nonsense",
            "http://a:b@x.test",
            "http://127.0.0.1/x",
            "http://[::1]/",
        ):
            params = {"taskId": task["id"], "url": url}
            assert (await agent.rpc("CreateTaskPushNotificationConfig", params))["error"]["code"] == -32602, url
            sent = await agent.send("hello", configuration={"taskPushNotificationConfig": {"url": url}})
            assert sent["error"]["code"] == -32602, url
        params = {"taskId": task["id"], "url": "http://8.8.8.8/", "token": "a\r\nX-Evil: 1"}
        assert (await agent.rpc("CreateTaskPushNotificationConfig", params))["error"]["code"] == -32602
        assert len(agent.script.requests) == 1


async def test_a_config_for_a_task_that_is_just_being_deleted_is_refused_as_for_one_that_is_gone(
    fresh: Served, pool: Pool
) -> None:
    task = await fresh.start("say something")
    await fresh.until(task["id"], "COMPLETED")
    params = {"taskId": task["id"], "id": "mine", "url": "http://127.0.0.1:1/"}
    async with pool.connection() as conn, conn.transaction():
        await conn.execute("DELETE FROM a2a_tasks")
        setting = asyncio.create_task(fresh.rpc("CreateTaskPushNotificationConfig", params))
        await asyncio.sleep(0.3)
    assert (await setting)["error"]["code"] == -32001


def hooks(receiver: Receiver, task: Json, number: int) -> list[Json]:
    return [{"taskId": task["id"], "id": f"c{index}", "url": receiver.url} for index in range(number)]


async def test_a_task_has_ten_configs_at_most_also_when_many_are_set_at_once(agent: Served) -> None:
    task = await agent.start("hold ten")
    async with receiving() as receiver:
        made = await asyncio.gather(
            *(
                agent.rpc("CreateTaskPushNotificationConfig", config)
                for config in hooks(receiver, task, PUSH_CONFIGS_PER_TASK + 5)
            )
        )
        assert [answer["error"]["code"] for answer in made if "error" in answer] == [-32602] * 5
        agent.script.release("ten")
        await receiver.last("COMPLETED")


async def test_one_message_leads_to_so_many_requests_and_its_end(
    agent: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "PUSH_REQUESTS_PER_MESSAGE", 2)
    for _ in range(2):
        async with receiving() as receiver:
            await agent.send("tools", configuration=to(receiver))
            assert len(await receiver.last("COMPLETED")) == 3


async def test_a_caller_whose_receivers_hang_holds_up_no_other() -> None:
    at_once = PUSH_REQUESTS_AT_ONCE // 2
    async with push.open_push_sender(cast(Pool, None), push.PushPolicy()) as sender:
        async with AsyncExitStack() as held:
            for _ in range(at_once):
                await held.enter_async_context(sender._slots.of("greedy"))
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(held.enter_async_context(sender._slots.of("greedy")), 0.01)
            async with sender._slots.of("another"):
                pass
        assert sender._slots.callers == {}


async def test_notifications_that_wait_are_bounded_in_bytes(
    agent: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(push, "PUSH_WAITING_BYTES", 10)
    async with receiving() as receiver:
        await agent.send("tools", configuration=to(receiver))
        monkeypatch.undo()
        await agent.send("tools", configuration=to(receiver))
        assert len(await receiver.last("COMPLETED")) == 4
